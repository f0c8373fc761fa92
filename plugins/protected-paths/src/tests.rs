use fusebox_sdk::{Origin, Payload};

use super::*;

fn check(effect: Effect, settings: &Settings) -> Ruling {
    let action = Action {
        step_type: "test".into(),
        input: "{}".into(),
        description: String::new(),
        scope: Scope::Workspace,
        origin: Origin::Plan,
    };
    ProtectedPaths::check(&action, &[effect], settings).ruling
}

fn write(path: &str) -> Effect {
    Effect::write(path, Payload { handle: 1, size: 0, sha256: String::new() })
}

#[test]
fn secrets_and_internals_are_protected_by_default() {
    let settings = Settings::default();
    for path in [
        ".git/config",
        "sub/.git/hooks/pre-commit",
        ".env",
        "a/.env.production",
        "keys/server.PEM",
        ".GIT/config",
        "home/.ssh/id_rsa",
        "id_ed25519.pub",
        "cert.pfx",
    ] {
        assert_eq!(check(Effect::read(path), &settings), Ruling::Deny, "{path}");
        assert_eq!(check(write(path), &settings), Ruling::Deny, "{path}");
        assert_eq!(check(Effect::remove(path), &settings), Ruling::Deny, "{path}");
    }
}

#[test]
fn ordinary_files_and_exceptions_are_not() {
    let settings = Settings::default();
    for path in ["src/main.rs", "gitignore", ".gitignore", ".env.example", "environment", "keys.md"] {
        assert_eq!(check(write(path), &settings), Ruling::Abstain, "{path}");
    }
}

#[test]
fn an_exception_lifts_only_what_it_names() {
    let settings = Settings::default();
    for path in [".git/.env.example", ".env.example/id_rsa", "a/.env.example/.env", ".ssh/.env.example"] {
        assert_eq!(check(write(path), &settings), Ruling::Deny, "{path}");
    }
    assert_eq!(check(write("a/b/.env.example"), &settings), Ruling::Abstain);
}

#[test]
fn globs_with_a_slash_match_from_the_top_and_below() {
    let settings = Settings { read_only: Globs::Own(vec!["migrations/*".into()]), ..Settings::default() };
    assert_eq!(check(write("migrations/1.sql"), &settings), Ruling::Deny);
    assert_eq!(check(write("migrations/2/up.sql"), &settings), Ruling::Deny);
    assert_eq!(check(Effect::read("migrations/1.sql"), &settings), Ruling::Abstain);
    assert_eq!(check(write("src/migrations/1.sql"), &settings), Ruling::Abstain);
}

#[test]
fn a_command_that_names_a_protected_path_is_for_a_person() {
    let settings = Settings::default();
    let run = |words: &[&str]| Effect::run(words.iter().map(|word| (*word).to_owned()).collect(), "", None);
    assert_eq!(check(run(&["cat", "./.env"]), &settings), Ruling::Review);
    assert_eq!(check(run(&["/bin/sh", "-c", "cat <.env"]), &settings), Ruling::Review);
    assert_eq!(check(run(&["python3", "-m", "unittest"]), &settings), Ruling::Abstain);
}

#[test]
fn globs_that_cannot_match_are_refused() {
    let settings =
        Settings { protect: Globs::Own(vec!["/etc".into(), "a/../b".into(), "".into()]), ..Settings::default() };
    assert_eq!(ProtectedPaths::check_settings(&settings).len(), 3);
    assert!(ProtectedPaths::check_settings(&Settings::default()).is_empty());
}

#[test]
fn credentials_of_all_kinds_are_protected() {
    let settings = Settings::default();
    for path in [
        ".dev.vars",
        ".flaskenv",
        ".sentryclirc",
        ".secrets",
        ".credentials",
        "serviceaccountkey.json",
        "service-account-key.json",
        "service_account_key.json",
        "local.settings.json",
        "rclone.conf",
        "keystore.properties",
        "kubeconfig.yaml",
        "kubeconfig.yml",
        ".bash_history",
        ".zsh_history",
        ".psql_history",
        ".mysql_history",
        ".sqlite_history",
        ".python_history",
        ".node_repl_history",
        ".rediscli_history",
        "oauth_creds.json",
        ".oci/config",
        ".snowflake/config.toml",
        "a/.streamlit/secrets.toml",
        "a/.huggingface/token",
        ".cache/huggingface/token",
        "a/.config/github-copilot",
        "a/.config/configstore",
        "a/.dbt/profiles.yml",
        "client_secret_1.json",
        "my.ovpn",
        "dev.kubeconfig",
        ".kube/config",
        "x/.docker/config.json",
        ".config/gcloud/credentials.db",
        ".git-credentials",
        ".pgpass",
        ".vault-token",
        "a/release.jks",
        "a/vault.kdbx",
        "infra/terraform.tfstate",
        "infra/terraform.tfstate.backup",
        "id_ecdsa",
        "id_dsa",
        ".config/gh/hosts.yml",
        ".cargo/credentials.toml",
        "authorized_keys",
        ".env-prod",
        "deploy/prod.env",
        "AuthKey_1.p8",
        "server.pem.bak",
        "server.key~",
        "ssh_host_ed25519_key",
        ".claude/.credentials.json",
        ".codex/auth.json",
        "service-account.json",
        "kubeconfig",
        "taken-away-secrets-0a1b2c3d/credentials.5e6f",
    ] {
        assert_eq!(check(Effect::read(path), &settings), Ruling::Deny, "{path}");
        assert_eq!(check(write(path), &settings), Ruling::Deny, "{path}");
    }
}

#[test]
fn a_person_decides_on_what_others_run_later() {
    let settings = Settings::default();
    for path in [
        ".agent",
        ".agents",
        ".amazonq",
        ".augment",
        ".autoenv",
        ".autoenv.zsh",
        ".crush.json",
        "crush.json",
        ".emacs",
        ".emacs.d",
        ".envrc.local",
        ".factory",
        ".ipython",
        ".jupyter",
        ".kilocode",
        ".lazygit.yml",
        ".login",
        ".logout",
        ".nvim",
        ".ocamlinit",
        ".pnpmfile.mjs",
        ".prettierrc.cjs",
        ".prettierrc.js",
        ".prettierrc.mjs",
        ".pylintrc",
        ".tcshrc",
        ".trae",
        ".vimspector.json",
        ".xsession",
        ".xsessionrc",
        ".zlogout",
        "lazygit.yml",
        "a/.config/nvim",
        "a/.config/mise",
        "a/.config/environment.d",
        "a/.github/hooks",
        "a/.github/agents",
        "a/.yarn/releases",
        "a/.yarn/plugins",
        "a/.vs/tasks.vs.json",
        "a/.vs/launch.vs.json",
        "a/mise/config.toml",
        "x.sublime-project",
        ".github/workflows/ci.yml",
        "sub/.github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".envrc",
        ".bashrc",
        ".cargo/config.toml",
        ".vscode/tasks.json",
        ".gitmodules",
        ".husky/pre-commit",
        ".claude/settings.json",
        ".mcp.json",
        "Jenkinsfile",
    ] {
        assert_eq!(check(write(path), &settings), Ruling::Review, "{path}");
        assert_eq!(check(Effect::remove(path), &settings), Ruling::Review, "{path}");
        assert_eq!(check(Effect::read(path), &settings), Ruling::Abstain, "{path}");
    }
    for path in ["node_modules/x/.travis.yml", "node_modules/x/test.pem", ".github/README.md", "src/config.toml"] {
        assert_eq!(check(write(path), &settings), Ruling::Abstain, "{path}");
    }
    assert_eq!(check(write("node_modules/x/.git/config"), &settings), Ruling::Deny);
}

#[test]
fn a_leading_dot_and_slash_means_the_workspace_itself() {
    let settings = Settings { protect: Globs::Own(vec!["./top".into()]), ..Settings::default() };
    assert_eq!(check(write("top"), &settings), Ruling::Deny);
    assert_eq!(check(write("a/top"), &settings), Ruling::Abstain);
}
