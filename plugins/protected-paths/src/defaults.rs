//! The globs that count unless the policy names others, in lower case, by their form: a guard is called for every action,
//! and nearly all of them are found, or not, by one look into a sorted list.

use Protection::{Exception, Package, ReadOnly, Repository, RunLater, Secret};

/// Kinds of globs, the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// Keys, credentials, and state that holds them.
    Secret,
    /// Folders of version control, and files that stand for one.
    Repository,
    /// What version control runs or obeys, and the policy of a project.
    ReadOnly,
    /// What other programs run or obey later: settings of CI, editors, agents and shells.
    RunLater,
    /// Folders that package managers fill with what is published.
    Package,
    /// Examples without secrets.
    Exception,
}

/// Whole names, sorted.
pub const NAMES: &[(&str, Protection)] = &[
    (".aider.conf.yml", RunLater),
    (".appveyor.yml", RunLater),
    (".aws", Secret),
    (".azure", Secret),
    (".bash_aliases", RunLater),
    (".bash_login", RunLater),
    (".bash_logout", RunLater),
    (".bash_profile", RunLater),
    (".bashrc", RunLater),
    (".boto", Secret),
    (".build.yml", RunLater),
    (".buildkite", RunLater),
    (".builds", RunLater),
    (".bzr", Repository),
    (".circleci", RunLater),
    (".cirrus.yml", RunLater),
    (".claude", RunLater),
    (".clinerules", RunLater),
    (".codex", RunLater),
    (".continue", RunLater),
    (".credentials.json", Secret),
    (".cshrc", RunLater),
    (".cursor", RunLater),
    (".cursorrules", RunLater),
    (".databrickscfg", Secret),
    (".devcontainer", RunLater),
    (".devcontainer.json", RunLater),
    (".dir-locals-2.el", RunLater),
    (".dir-locals.el", RunLater),
    (".direnvrc", RunLater),
    (".dockercfg", Secret),
    (".drone.yaml", RunLater),
    (".drone.yml", RunLater),
    (".env", Secret),
    (".env.dist", Exception),
    (".env.example", Exception),
    (".env.sample", Exception),
    (".env.template", Exception),
    (".envrc", RunLater),
    (".env~", Secret),
    (".eslintrc.cjs", RunLater),
    (".eslintrc.js", RunLater),
    (".exrc", RunLater),
    (".fleet", RunLater),
    (".gclient", RunLater),
    (".gdbinit", RunLater),
    (".gemini", RunLater),
    (".ghci", RunLater),
    (".git", Repository),
    (".git-credentials", Secret),
    (".git-hooks", RunLater),
    (".gitconfig", ReadOnly),
    (".githooks", RunLater),
    (".gitlab-ci.yaml", RunLater),
    (".gitlab-ci.yml", RunLater),
    (".gitmodules", RunLater),
    (".gitpod.yml", RunLater),
    (".gnupg", Secret),
    (".gvimrc", RunLater),
    (".harness", RunLater),
    (".helix", RunLater),
    (".hg", Repository),
    (".hgrc", RunLater),
    (".htpasswd", Secret),
    (".husky", RunLater),
    (".huskyrc", RunLater),
    (".huskyrc.js", RunLater),
    (".huskyrc.json", RunLater),
    (".idea", RunLater),
    (".iex.exs", RunLater),
    (".inputrc", RunLater),
    (".irbrc", RunLater),
    (".jj", Repository),
    (".junie", RunLater),
    (".kiro", RunLater),
    (".kshrc", RunLater),
    (".kube", Secret),
    (".lazy.lua", RunLater),
    (".lefthook", RunLater),
    (".lefthook-local.json", RunLater),
    (".lefthook-local.toml", RunLater),
    (".lefthook-local.yaml", RunLater),
    (".lefthook-local.yml", RunLater),
    (".lefthook.json", RunLater),
    (".lefthook.toml", RunLater),
    (".lefthook.yaml", RunLater),
    (".lefthook.yml", RunLater),
    (".lintstagedrc", RunLater),
    (".lintstagedrc.cjs", RunLater),
    (".lintstagedrc.js", RunLater),
    (".lintstagedrc.json", RunLater),
    (".lintstagedrc.mjs", RunLater),
    (".lintstagedrc.yaml", RunLater),
    (".lintstagedrc.yml", RunLater),
    (".lldbinit", RunLater),
    (".lvimrc", RunLater),
    (".mcp.json", RunLater),
    (".mise", RunLater),
    (".mise.local.toml", RunLater),
    (".mise.toml", RunLater),
    (".my.cnf", Secret),
    (".netrc", Secret),
    (".npmrc", Secret),
    (".nvim.lua", RunLater),
    (".nvimrc", RunLater),
    (".opencode", RunLater),
    (".overcommit.yml", RunLater),
    (".password-store", Secret),
    (".pdbrc", RunLater),
    (".pgpass", Secret),
    (".pijul", Repository),
    (".pnpmfile.cjs", RunLater),
    (".pre-commit-config.yaml", RunLater),
    (".pre-commit-config.yml", RunLater),
    (".profile", RunLater),
    (".pryrc", RunLater),
    (".pypirc", Secret),
    (".qwen", RunLater),
    (".repo", RunLater),
    (".roo", RunLater),
    (".rprofile", RunLater),
    (".s3cfg", Secret),
    (".screenrc", RunLater),
    (".semaphore", RunLater),
    (".simple-git-hooks.cjs", RunLater),
    (".simple-git-hooks.js", RunLater),
    (".simple-git-hooks.json", RunLater),
    (".sl", Repository),
    (".ssh", Secret),
    (".svn", Repository),
    (".teamcity", RunLater),
    (".tekton", RunLater),
    (".terraform.d", Secret),
    (".terraformrc", Secret),
    (".theia", RunLater),
    (".tmux.conf", RunLater),
    (".travis.yaml", RunLater),
    (".travis.yml", RunLater),
    (".vault-token", Secret),
    (".vault_pass", Secret),
    (".vim", RunLater),
    (".vimrc", RunLater),
    (".vscode", RunLater),
    (".windsurf", RunLater),
    (".windsurfrules", RunLater),
    (".woodpecker", RunLater),
    (".woodpecker.yaml", RunLater),
    (".woodpecker.yml", RunLater),
    (".xinitrc", RunLater),
    (".xprofile", RunLater),
    (".yarnrc", RunLater),
    (".yarnrc.yml", RunLater),
    (".zed", RunLater),
    (".zlogin", RunLater),
    (".zprofile", RunLater),
    (".zshenv", RunLater),
    (".zshrc", RunLater),
    ("_darcs", Repository),
    ("_netrc", Secret),
    ("application_default_credentials.json", Secret),
    ("appveyor.yml", RunLater),
    ("authorized_keys", Secret),
    ("azure-pipelines.yaml", RunLater),
    ("azure-pipelines.yml", RunLater),
    ("bitbucket-pipelines.yml", RunLater),
    ("bower_components", Package),
    ("cacert.pem", Exception),
    ("captainhook.json", RunLater),
    ("cloudbuild.yaml", RunLater),
    ("credentials.json", Secret),
    ("dist-packages", Package),
    ("example.env", Exception),
    ("fusebox.toml", ReadOnly),
    ("grumphp.yml", RunLater),
    ("jenkinsfile", RunLater),
    ("kubeconfig", Secret),
    ("lefthook-local.json", RunLater),
    ("lefthook-local.toml", RunLater),
    ("lefthook-local.yaml", RunLater),
    ("lefthook-local.yml", RunLater),
    ("lefthook.json", RunLater),
    ("lefthook.toml", RunLater),
    ("lefthook.yaml", RunLater),
    ("lefthook.yml", RunLater),
    ("lint-staged.config.cjs", RunLater),
    ("lint-staged.config.js", RunLater),
    ("lint-staged.config.mjs", RunLater),
    ("mise.local.toml", RunLater),
    ("mise.toml", RunLater),
    ("node_modules", Package),
    ("opencode.json", RunLater),
    ("opencode.jsonc", RunLater),
    ("rust-toolchain", RunLater),
    ("rust-toolchain.toml", RunLater),
    ("sample.env", Exception),
    ("service-account.json", Secret),
    ("service_account.json", Secret),
    ("simple-git-hooks.cjs", RunLater),
    ("simple-git-hooks.js", RunLater),
    ("simple-git-hooks.json", RunLater),
    ("site-packages", Package),
    ("sitecustomize.py", RunLater),
    ("template.env", Exception),
    ("usercustomize.py", RunLater),
    ("vault_pass.txt", Secret),
    ("wallet.dat", Secret),
];

/// Ends of paths, sorted by their last parts: globs that begin with `**/`.
pub const TAILS: &[(&str, Protection)] = &[
    (".github/actions", RunLater),
    (".codex/auth.json", Secret),
    (".config/autostart", RunLater),
    (".bzr/branch/branch.conf", ReadOnly),
    (".git/commondir", ReadOnly),
    (".cargo/config", RunLater),
    (".git/config", ReadOnly),
    (".pijul/config", ReadOnly),
    (".sl/config", ReadOnly),
    (".docker/config.json", Secret),
    (".cargo/config.toml", RunLater),
    (".jj/config.toml", ReadOnly),
    (".jj/repo/config.toml", ReadOnly),
    (".git/config.worktree", ReadOnly),
    (".cargo/credentials", Secret),
    (".gem/credentials", Secret),
    (".cargo/credentials.toml", Secret),
    (".config/direnv", RunLater),
    (".config/fish", RunLater),
    (".config/gcloud", Secret),
    (".config/gh", Secret),
    (".config/git", ReadOnly),
    (".git/gitdir", ReadOnly),
    (".config/glab-cli", Secret),
    (".gradle/gradle.properties", Secret),
    (".hg/hgrc", ReadOnly),
    (".hg/hgrc-not-shared", ReadOnly),
    (".git/hooks", ReadOnly),
    (".config/hub", Secret),
    (".gradle/init.d", RunLater),
    (".m2/settings.xml", Secret),
    (".hg/sharedpath", ReadOnly),
    (".config/systemd", RunLater),
    (".forgejo/workflows", RunLater),
    (".gitea/workflows", RunLater),
    (".github/workflows", RunLater),
    (".jj/workspace-config.toml", ReadOnly),
];

/// Beginnings of names: globs that end in `*`.
pub const PREFIXES: &[(&str, Protection)] = &[
    (".env-", Secret),
    (".env.", Secret),
    (".env_", Secret),
    ("id_dsa", Secret),
    ("id_ecdsa", Secret),
    ("id_ed25519", Secret),
    ("id_rsa", Secret),
    ("ssh_host_", Secret),
    // Folders into which the host moves secrets that it takes away at the end of a command.
    ("taken-away-secrets-", Secret),
];

/// Ends of names: globs that begin with `*`.
pub const SUFFIXES: &[(&str, Protection)] = &[
    (".code-workspace", RunLater),
    (".env", Secret),
    (".jks", Secret),
    (".kdb", Secret),
    (".kdbx", Secret),
    (".key", Secret),
    (".key.bak", Secret),
    (".key~", Secret),
    (".keystore", Secret),
    (".p12", Secret),
    (".p8", Secret),
    (".pem", Secret),
    (".pem.bak", Secret),
    (".pem~", Secret),
    (".pfx", Secret),
    (".ppk", Secret),
    (".tfstate", Secret),
    (".tfvars", Secret),
    (".tfvars.json", Secret),
];

/// Parts of names: globs that begin and end in `*`.
pub const INFIXES: &[(&str, Protection)] = &[(".tfstate.", Secret)];

/// The globs of a kind, as a policy would write them.
pub fn globs(kind: Protection) -> Vec<String> {
    let of = |table: &'static [(&str, Protection)], before: &str, after: &str| -> Vec<String> {
        let of_kind = table.iter().filter(|(_, own)| *own == kind);
        of_kind.map(|(text, _)| format!("{before}{text}{after}")).collect()
    };
    [of(NAMES, "", ""), of(TAILS, "**/", ""), of(PREFIXES, "", "*"), of(SUFFIXES, "*", ""), of(INFIXES, "*", "*")]
        .concat()
}

/// The globs that match a part of a path. `path` ends with that part, `name`; both are in lower case.
pub fn matching<'a>(path: &'a str, name: &'a str) -> impl Iterator<Item = (Protection, String)> + 'a {
    let named = NAMES.binary_search_by(|(own, _)| (*own).cmp(name)).ok().and_then(|at| NAMES.get(at));
    let named = named.into_iter().map(|(text, kind)| (*kind, (*text).to_owned()));
    let first = TAILS.partition_point(|(tail, _)| last(tail) < name);
    let tails = TAILS.iter().skip(first).take_while(move |(tail, _)| last(tail) == name);
    let is_end =
        move |tail: &str| path.strip_suffix(tail).is_some_and(|above| above.is_empty() || above.ends_with('/'));
    let tails = tails.filter(move |(tail, _)| is_end(tail)).map(|(text, kind)| (*kind, format!("**/{text}")));
    let prefixes = PREFIXES.iter().filter(move |(text, _)| name.starts_with(text));
    let prefixes = prefixes.map(|(text, kind)| (*kind, format!("{text}*")));
    // Only a name with a dot has an ending.
    let dotted = if name.contains('.') { SUFFIXES } else { &[] };
    let suffixes = dotted.iter().filter(move |(text, _)| name.ends_with(text));
    let suffixes = suffixes.map(|(text, kind)| (*kind, format!("*{text}")));
    let dotted = if name.contains('.') { INFIXES } else { &[] };
    let infixes = dotted.iter().filter(move |(text, _)| name.contains(text));
    let infixes = infixes.map(|(text, kind)| (*kind, format!("*{text}*")));
    named.chain(tails).chain(prefixes).chain(suffixes).chain(infixes)
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(NAMES.is_sorted_by(|one, other| one.0 < other.0));
        assert!(TAILS.is_sorted_by(|one, other| (last(one.0), one.0) < (last(other.0), other.0)));
        let texts = [NAMES, TAILS, PREFIXES, SUFFIXES, INFIXES].concat();
        assert!(texts.iter().all(|(text, _)| text.to_lowercase() == *text), "in lower case");
        assert!([SUFFIXES, INFIXES].concat().iter().all(|(text, _)| text.contains('.')));
    }
}
