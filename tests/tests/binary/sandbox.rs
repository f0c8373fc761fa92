//! Attackers in the sandbox of a command: each tries one thing, as root and as an ordinary user. Those that can be tried
//! without harm are tried outside first, where they must succeed: an attempt that never works proves nothing.

mod attempts;
mod target;

use attempts::{ATTEMPTS, Outside, POLICY};
use target::{Target, User, as_user, users};

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::place::{binary, events, fill_cache, lines, text};

#[test]
fn every_attempt_is_refused() {
    for user in users() {
        let target = Target::new(user);
        std::fs::write(target.path("plan.json"), "{}").unwrap();
        let is_root = rustix::process::getuid().is_root() && user == User::Own;
        for (name, outside, script) in ATTEMPTS {
            if *outside == Outside::Works || (*outside == Outside::WorksForRoot && is_root) {
                let mut command = Command::new("sh");
                command.args(["-c", &target.fill(script)]).current_dir(target.path("workspace"));
                as_user(&mut command, user);
                let output = command.output().unwrap();
                let said = text(&output.stderr);
                assert!(output.status.success(), "{user:?}: {name} does not even work outside: {said}");
            }
        }
        for left in ["l1", "l2", ".git/hooks/pre-commit"] {
            std::fs::remove_file(target.path("workspace").join(left)).unwrap();
        }
        for made in ["new", "new2"] {
            std::fs::remove_file(target.path("outside").join(made)).unwrap();
        }
        std::fs::write(target.path("outside/file"), "untouched").unwrap();
        let said = |script: &str| {
            format!("{{ {script}\n}} > /tmp/said 2>&1 && echo ESCAPED: $(head -c 300 /tmp/said) || echo contained")
        };
        let scripts: Vec<String> = ATTEMPTS.iter().map(|(_, _, script)| said(&target.fill(script))).collect();
        let outputs = target.outputs(&scripts);
        for ((name, ..), output) in ATTEMPTS.iter().zip(outputs) {
            assert!(output.contains("contained"), "{user:?}: {name}: {output}");
        }
        let left: Vec<_> =
            std::fs::read_dir(target.path("outside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{user:?}: {left:?}");
        assert_eq!(std::fs::read_to_string(target.path("outside/file")).unwrap(), "untouched");
        assert_eq!(std::fs::read_to_string(target.path("workspace/.git/config")).unwrap(), "[core]\n\n");
    }
}

#[test]
fn what_is_needed_works() {
    for user in users() {
        let target = Target::new(user);
        let scripts = [
            "test \"$(cat plain)\" = plain && echo x > sub/new && mv sub/new sub/moved && mkdir -p a/b && rm -r a && echo fine",
            "ls / /usr /etc /tmp > /dev/null && echo fine",
            "echo x > /tmp/a && cat /tmp/a > /dev/null && head -c 8 /dev/urandom > /dev/null && echo fine",
            "echo x > ~/.cache-file && test \"$(stat -c %a ~)\" = 700 && echo fine",
            "python3 -c \"import socket, threading; s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); s.accept()[0].sendall(b'x'); assert c.recv(1) == b'x'; print('fine')\"",
            "python3 -c \"import socket; s = socket.socket(1); s.bind('/tmp/s'); s.listen(); socket.socket(1).connect('/tmp/s'); print('fine')\"",
            "python3 -c \"import multiprocessing as m; print('fine' if m.Pool(2).map(abs, [-1, -2]) == [1, 2] else 'not')\"",
            "git init -q /tmp/repo && cd /tmp/repo && git -c user.name=a -c user.email=b commit -q --allow-empty -m x && echo fine",
            "test \"$(id -u)\" = \"$(stat -c %u plain)\" && date > /dev/null && getent passwd root > /dev/null && echo fine",
        ];
        let outputs = target.outputs(&scripts.map(|script| format!("{{ {script}; }} 2>&1")));
        for (script, output) in scripts.iter().zip(outputs) {
            assert!(output.ends_with("fine"), "{user:?}: {script}: {output}");
        }
        assert_eq!(std::fs::read_to_string(target.path("workspace/sub/moved")).unwrap(), "x\n");
    }
}

/// Command lines of this machine that hold this.
fn marked(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    lines.filter(|line| line.contains(mark)).collect()
}

#[test]
fn nothing_outlives_its_step_and_endless_output_is_bounded() {
    for user in users() {
        let target = Target::new(user);
        let mark = format!("1000.6{}", std::process::id());
        let leaving = [
            "setsid sleep MARK & echo left",
            "(setsid sh -c 'setsid sleep MARK & ' & ) ; echo left",
            "nohup sh -c 'trap \"\" TERM HUP INT; sleep MARK; sleep MARK' > /dev/null 2>&1 & echo left",
            "sleep MARK & kill -STOP $!; echo left",
        ];
        let scripts = leaving.map(|script| script.replace("MARK", &mark));
        assert!(target.outputs(&scripts).iter().all(|output| output.ends_with("left")));
        assert!(marked(&mark).is_empty(), "{user:?}: {:?}", marked(&mark));
        // Deaf to every polite signal.
        let steps = json!([{ "step_type": "run_command", "input": {
            "shell": format!("trap '' TERM HUP INT; sleep {mark} & while true; do sleep {mark}; done"), "timeout_s": 1
        } }]);
        let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps });
        std::fs::write(target.path("plan.json"), plan.to_string()).unwrap();
        let args =
            ["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml", "--approve", "all", "--json"];
        let output = target.fusebox(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{user:?}");
        assert!(marked(&mark).is_empty(), "{user:?}: {:?}", marked(&mark));
        let much = target.outputs(&["head -c 1000000000 /dev/zero; echo whole >&2".to_owned()]);
        assert!(much[0].ends_with("whole"), "{user:?}: {much:?}");
    }
}

#[test]
fn bombs_do_not_leave_the_sandbox() {
    for user in users() {
        let target = Target::new(user);
        let count = "python3 -c \"\nimport os, time\nn = 0\ntry:\n while True:\n  if os.fork() == 0:\n   time.sleep(100)\n   os._exit(0)\n  n += 1\nexcept OSError: pass\nprint(n)\"";
        let files = "python3 -c \"\nfiles = []\ntry:\n while True: files.append(open('plain'))\nexcept OSError: pass\nprint(len(files))\"";
        let outputs = target.outputs(&[count.to_owned(), files.to_owned()]);
        let number = |output: &String| output.rsplit(' ').next().unwrap().parse::<u32>().unwrap();
        assert!((10..=320).contains(&number(&outputs[0])), "{user:?}: {outputs:?}");
        assert!((10..=256).contains(&number(&outputs[1])), "{user:?}: {outputs:?}");

        let bomb = target.fails(":(){ :|:& };: ; sleep 1; exit 7", &[]);
        assert!(bomb.contains("exit code") || bomb.contains("signal") || bomb.contains("memory"), "{user:?}: {bomb}");
        let one = target.fails("python3 -c \"x = b'x' * (1 << 30)\" && echo ESCAPED", &[]);
        assert!(one.contains("MemoryError") || one.contains("memory"), "{user:?}: {one}");
        let many = "for i in 1 2 3 4 5 6 7 8; do python3 -c \"x = b'x' * (200 << 20); import time; time.sleep(20)\" & done; wait";
        let many = target.fails(many, &[]);
        assert!(many.contains("more than 512 MiB of memory"), "{user:?}: {many}");
        let temporary =
            target.fails("head -c 50000000 /dev/zero > /tmp/x; head -c 50000000 /dev/zero > /tmp/y; exit 9", &[]);
        assert!(temporary.contains("exit code 9") && temporary.contains("No space left"), "{user:?}: {temporary}");
        let file =
            target.fails("head -c 100000000 /dev/zero > big; test $(stat -c %s big) -le 67108864 && exit 9", &[]);
        assert!(file.contains("exit code 9"), "{user:?}: {file}");
        std::fs::remove_file(target.path("workspace/big")).unwrap();
        // In a place of its own: all writes to the file system count.
        let small = Target::new(user);
        std::fs::write(small.path("policy.toml"), POLICY.replace("disk_mib = 65536", "disk_mib = 512")).unwrap();
        let disk = "i=0; while true; do i=$((i+1)); head -c 60000000 /dev/zero > big$i || exit 9; done";
        let disk = small.fails(disk, &[]);
        assert!(disk.contains("more than 512 MiB of disk space"), "{user:?}: {disk}");
        let processor = Target::new(user);
        std::fs::write(
            processor.path("policy.toml"),
            POLICY.replace("[process.limits]", "[process.limits]\ncpu_s = 1"),
        )
        .unwrap();
        let spin = processor.fails("while true; do :; done", &[]);
        assert!(spin.contains("signal 9") || spin.contains("signal 24"), "{user:?}: {spin}");
    }
}

#[test]
fn nothing_that_was_open_is_inherited() {
    let target = Target::new(User::Own);
    let secret = std::fs::File::open(target.path("other-home/secret")).unwrap();
    // A shell hands descriptors on that programs of Rust would close.
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": [
        { "step_type": "run_command", "input": { "shell": "ls /proc/self/fd | wc -l; cat <&9" } },
    ] });
    std::fs::write(target.path("plan.json"), plan.to_string()).unwrap();
    drop(secret);
    let line = "exec 9<DIR/other-home/secret; exec DIR/fusebox run DIR/plan.json --workspace DIR/workspace --policy DIR/policy.toml --approve all --json";
    let mut command = Command::new("sh");
    command.args(["-c", &target.fill(line)]).env("FUSEBOX_HOME", target.path("home")).stdin(Stdio::null());
    let output = command.output().unwrap();
    let failed = lines(&output);
    let message = events(&failed, "step_failed")[0]["message"].as_str().unwrap().to_owned();
    assert!(!message.contains("SECRET") && message.contains("Bad file descriptor"), "{message}");
}

#[test]
fn what_the_policy_grants_by_name_can_be_used() {
    for user in users() {
        let target = Target::new(user);
        let grants = "[process]\nnetwork = true\n\
                      [process.paths.store]\npath = 'DIR/home'\naccess = 'write'\n\
                      [process.paths.tools]\npath = 'DIR/outside'\naccess = 'read'\n\
                      [process.paths.cache]\npath = '~/.'\naccess = 'write'\n[process.limits]";
        let globs = "mode = 'monitor'\nsettings = { protect = ['plain'], read_only = ['sub'] }\n[guards.secret-scan]";
        let policy = POLICY.replacen("mode = \"monitor\"\n[guards.secret-scan]", globs, 1);
        let policy = target.fill(&policy.replace("[process.limits]", grants));
        std::fs::write(target.path("policy.toml"), policy).unwrap();
        let scripts = [
            "grep untouched DIR/outside/file",
            "! touch DIR/outside/new",
            "grep SECRET DIR/other-home/secret && echo x > ~/cached",
            "python3 -c \"import socket; socket.create_connection(('127.0.0.1', TCP), 2)\"",
            "! python3 -c \"import socket; socket.socket(1).connect('\\\\0fusebox-test-NAME')\"",
            "! cat DIR/ho?e/key",
            "! cat plain",
            "! touch sub/x",
        ];
        let outputs =
            target.outputs(&scripts.map(|script| format!("{{ {}; }} 2>&1 && echo fine", target.fill(script))));
        for (script, output) in scripts.iter().zip(outputs) {
            assert!(output.ends_with("fine"), "{user:?}: {script}: {output}");
        }
        assert_eq!(std::fs::read_to_string(target.path("other-home/cached")).unwrap(), "x\n");
    }
}

#[test]
fn protected_names_that_are_not_there_cannot_be_planted() {
    let target = Target::new(User::Own);
    let plant = "cp -r .git evil; echo '../evil' > .git/commondir; mkdir -p fusebox.toml/x";
    let message = target.fails(plant, &[]);
    assert!(message.contains(".git/commondir (now commondir.taken-away-"), "{message}");
    assert!(!target.path("workspace/.git/commondir").exists() && !target.path("workspace/fusebox.toml").exists());
    assert!(target.path("workspace/evil").exists());
}

#[test]
fn a_grant_by_a_link_does_not_show_the_store() {
    let target = Target::new(User::Own);
    std::fs::create_dir(target.path("data")).unwrap();
    std::fs::rename(target.path("home"), target.path("data/home")).unwrap();
    symlink(target.path("data"), target.path("link")).unwrap();
    symlink(target.path("data/home"), target.path("home")).unwrap();
    let grant = "[process.paths.data]\npath = 'DIR/link'\naccess = 'write'\n[process.limits]";
    std::fs::write(target.path("workspace/sub/secret"), "SECRET-hidden").unwrap();
    let globs = "mode = 'monitor'\nsettings = { protect = ['sub/secret', 'plain/x'], read_only = ['sub'] }\n[guards.secret-scan]";
    let policy = POLICY.replacen("mode = \"monitor\"\n[guards.secret-scan]", globs, 1);
    std::fs::write(target.path("policy.toml"), target.fill(&policy.replace("[process.limits]", grant))).unwrap();
    let scripts = [
        "ls DIR/link > /dev/null",
        "! cat DIR/li?k/ho?e/key",
        "! echo x > DIR/li?k/ho?e/planted",
        "! grep SECRET sub/secret",
    ];
    let outputs = target.outputs(&scripts.map(|script| format!("{{ {}; }} 2>&1 && echo fine", target.fill(script))));
    for (script, output) in scripts.iter().zip(outputs) {
        assert!(output.ends_with("fine"), "{script}: {output}");
    }
    assert!(!target.path("data/home/planted").exists());
}

#[test]
fn what_lies_in_a_folder_does_not_weaken_the_sandbox() {
    let target = Target::new(User::Own);
    std::fs::create_dir(target.path("cache")).unwrap();
    // A link that an earlier command left where a grant points.
    symlink(target.path("other-home"), target.path("cache/registry")).unwrap();
    let grant = "[process]\naccept_missing = ['namespaces']\n\
                 [process.paths.cache]\npath = 'DIR/cache'\naccess = 'write'\n\
                 [process.paths.registry]\npath = 'DIR/cache/registry'\naccess = 'write'\n[process.limits]";
    std::fs::write(target.path("policy.toml"), target.fill(&POLICY.replace("[process.limits]", grant))).unwrap();
    let script = "{ test -d DIR/cache && test \"$$\" -lt 100 && ! cat DIR/other-home/secret DIR/cache/registry/secret; } 2>&1 && echo fine";
    assert!(target.outputs(&[target.fill(script)])[0].ends_with("fine"));
}

#[test]
fn a_kernel_without_namespaces_is_told_and_refused_unless_policy_accepts_it() {
    for user in users() {
        let target = Target::new(user);
        let plan = |script: &str| {
            let steps =
                json!([{ "step_type": "run_command", "input": { "shell": target.fill(script), "timeout_s": 20 } }]);
            json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string()
        };
        // In there, no further namespaces can be made.
        let line = "echo 0 > /proc/sys/user/max_user_namespaces && exec DIR/fusebox run DIR/plan.json --workspace DIR/workspace --policy DIR/policy.toml --approve all --json";
        let run = |script: &str| {
            std::fs::write(target.path("plan.json"), plan(script)).unwrap();
            let mut command = target.fusebox(&[]);
            let variables: Vec<_> =
                command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
            command = Command::new("unshare");
            command
                .args(["-Ur", "sh", "-c", &target.fill(line)])
                .stdin(Stdio::null())
                .current_dir(target.folder.path());
            for (name, value) in variables {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            as_user(&mut command, user);
            let output = command.output().unwrap();
            assert!(!output.stdout.is_empty(), "{}", text(&output.stderr));
            (output.status.code().unwrap(), lines(&output))
        };
        let (code, refused) = run("echo ran");
        let skipped = events(&refused, "step_skipped");
        assert_eq!((code, skipped.len()), (3, 1), "{user:?}: {refused:#?}");
        let message = skipped[0]["message"].as_str().unwrap();
        assert!(message.contains("namespaces") && message.contains("accept_missing"), "{message}");

        let accepting =
            POLICY.replace("[process.limits]", "[process]\naccept_missing = ['namespaces']\n[process.limits]");
        std::fs::write(target.path("policy.toml"), accepting).unwrap();
        let (code, ran) = run("echo x > made && cat plain");
        assert_eq!(code, 0, "{user:?}: {ran:#?}");
        let note = events(&ran, "effect_intended")[0]["note"].as_str().unwrap().to_owned();
        assert!(note.contains("landlock") && note.contains("without namespaces"), "{note}");
        for script in [
            "cat DIR/other-home/secret",
            "cat DIR/ho?e/key",
            "cat DIR/plan.json",
            "echo x > DIR/outside/new",
            "echo x > leads-out/new",
            "cat /proc/PID/cmdline",
            "kill -0 PID",
            "python3 -c \"import socket; socket.create_connection(('127.0.0.1', TCP), 2)\"",
            "python3 -c \"import socket; socket.socket(2, 2)\"",
            "python3 -c \"import socket; socket.socket(1).connect('\\\\0fusebox-test-NAME')\"",
            "python3 -c \"import ctypes; exit(ctypes.CDLL(None).ptrace(16, PID, 0, 0) != 0)\"",
        ] {
            let (code, ended) = run(script);
            assert_eq!(
                (code, events(&ended, "step_failed").len()),
                (1, 1),
                "{user:?}: {script}: {:?}",
                events(&ended, "run_ended")
            );
        }
        // Those who leave are found by descent.
        let mark = format!("1000.{}", std::process::id());
        let (code, ended) = run(&format!("setsid sh -c 'setsid sleep {mark} & ' & sleep 0.1"));
        assert_eq!(code, 0, "{ended:#?}");
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        assert!(!lines.map(|line| String::from_utf8_lossy(&line).into_owned()).any(|line| line.contains(&mark)));
        assert!(temporary_folders(&target).is_empty(), "{:?}", temporary_folders(&target));
    }
}

/// Temporary folders of ours in the place of this test alone.
fn temporary_folders(target: &Target) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(target.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("fusebox-")).collect()
}

#[test]
fn the_doctor_says_what_is_enforced() {
    let target = Target::new(User::Own);
    let output = target.fusebox(&["doctor", "--json"]).output().unwrap();
    let found = lines(&output);
    let message = |check: &str| {
        let line = found.iter().find(|line| line["check"] == check);
        line.unwrap_or_else(|| panic!("{check}: {found:#?}"))["message"].as_str().unwrap().to_owned()
    };
    for check in ["namespaces", "landlock", "seccomp", "network", "processes", "memory"] {
        assert!(!message(check).is_empty());
    }
    assert!(message("memory").contains("MiB"));
}
