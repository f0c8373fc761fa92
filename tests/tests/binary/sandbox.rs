//! Attackers in the sandbox of a command: each tries one thing, as root and as an ordinary user. Those that can be tried
//! without harm are tried outside first, where they must succeed: an attempt that never works proves nothing.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::place::{binary, events, lines, text};

/// An ordinary user, when the tests run as root.
const NOBODY: u32 = 65534;

/// Who attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Own,
    Nobody,
}

/// Both where both can be had.
fn users() -> Vec<User> {
    if rustix::process::getuid().is_root() { vec![User::Own, User::Nobody] } else { vec![User::Own] }
}

/// A machine to attack: a workspace, and everything that must not be reached from it.
struct Target {
    folder: tempfile::TempDir,
    user: User,
    tcp: TcpListener,
    udp: UdpSocket,
    bystander: Child,
    _sockets: Vec<UnixListener>,
}

impl Target {
    fn new(user: User) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        // Not copied by this process: a thread that starts another meanwhile would hand the open file on.
        let is_linked = std::fs::hard_link(binary(), path("fusebox")).is_ok();
        assert!(is_linked || Command::new("cp").arg(binary()).arg(path("fusebox")).status().unwrap().success());
        for name in ["workspace/.git/hooks", "workspace/sub", "other-home", "other-run", "home", "outside"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        std::fs::set_permissions(path("home"), PermissionsExt::from_mode(0o700)).unwrap();
        for (name, content) in [
            ("workspace/.env", "SECRET-env"),
            ("workspace/.git/config", "[core]\n"),
            ("workspace/plain", "plain"),
            ("other-home/secret", "SECRET-home"),
            ("other-run/file", "SECRET-run"),
            ("outside/file", "untouched"),
            ("home/key", "SECRET-store"),
            ("policy.toml", POLICY),
        ] {
            std::fs::write(path(name), content).unwrap();
        }
        symlink(path("outside"), path("workspace/leads-out")).unwrap();
        // Its user is root, whoever runs it: unless set-user-id counts for nothing.
        assert!(Command::new("cp").arg("/usr/bin/id").arg(path("workspace/whoami")).status().unwrap().success());
        std::fs::set_permissions(path("workspace/whoami"), PermissionsExt::from_mode(0o4755)).unwrap();
        let abstract_name = format!("fusebox-test-{}", folder.path().file_name().unwrap().to_str().unwrap());
        let sockets = vec![
            UnixListener::bind(path("outside/socket")).unwrap(),
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(abstract_name).unwrap()).unwrap(),
        ];
        std::fs::set_permissions(path("outside/socket"), PermissionsExt::from_mode(0o777)).unwrap();
        if user == User::Nobody {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            for entry in ["workspace", "home", "other-home", "other-run", "outside"] {
                give(&path(entry));
            }
        }
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let echo = udp.try_clone().unwrap();
        // It ends with the test's process, which has nothing else to wait for.
        std::thread::spawn(move || {
            let mut buffer = [0; 16];
            while let Ok((read, from)) = echo.recv_from(&mut buffer) {
                let _ = echo.send_to(&buffer[..read], from);
            }
        });
        let mut bystander = Command::new("sleep");
        bystander.arg("1000.5").stdin(Stdio::null());
        as_user(&mut bystander, user);
        let bystander = bystander.spawn().unwrap();
        Self { user, tcp: TcpListener::bind("127.0.0.1:0").unwrap(), udp, bystander, _sockets: sockets, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A script with the places that it attacks.
    fn fill(&self, script: &str) -> String {
        let folder = self.folder.path();
        script
            .replace("DIR", folder.to_str().unwrap())
            .replace("NAME", folder.file_name().unwrap().to_str().unwrap())
            .replace("TCP", &self.tcp.local_addr().unwrap().port().to_string())
            .replace("UDP", &self.udp.local_addr().unwrap().port().to_string())
            .replace("PID", &self.bystander.id().to_string())
    }

    fn fusebox(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("fusebox"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("FUSEBOX_HOME", self.path("home"))
            .env("HOME", self.path("other-home"))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env_remove("FUSEBOX_POLICY")
            .stdin(Stdio::null());
        as_user(&mut command, self.user);
        command
    }

    /// Runs shell lines as steps of one plan; gives the exit code and the JSON lines.
    fn run(&self, scripts: &[String], more: &[&str]) -> (i32, Vec<Value>) {
        let steps: Vec<Value> = scripts
            .iter()
            .map(|script| json!({ "step_type": "run_command", "input": { "shell": script, "timeout_s": 60 } }))
            .collect();
        let plan = json!({ "goal": "attack", "agent": { "id": "attacker" }, "steps": steps });
        std::fs::write(self.path("plan.json"), plan.to_string()).unwrap();
        let args =
            ["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml", "--approve", "all", "--json"];
        let output = self.fusebox(&[&args, more].concat()).output().unwrap();
        assert!(output.status.code().is_some() && !output.stdout.is_empty(), "{}", text(&output.stderr));
        (output.status.code().unwrap(), lines(&output))
    }

    /// Runs one script that must fail; gives what the step's failure says.
    fn fails(&self, script: &str, more: &[&str]) -> String {
        let (_, lines) = self.run(&[self.fill(script)], more);
        let failed = events(&lines, "step_failed");
        assert_eq!(failed.len(), 1, "{script}: {:?}", events(&lines, "run_ended"));
        failed[0]["message"].as_str().unwrap().to_owned()
    }

    /// The outputs of scripts that all succeed.
    fn outputs(&self, scripts: &[String]) -> Vec<String> {
        let (code, lines) = self.run(scripts, &[]);
        let completed = events(&lines, "step_completed");
        assert_eq!((code, completed.len()), (0, scripts.len()), "{:?}", events(&lines, "run_ended"));
        let summaries = completed.iter().map(|event| event["summary"].as_str().unwrap().to_owned());
        summaries.collect()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.bystander.kill();
        let _ = self.bystander.wait();
    }
}

fn as_user(command: &mut Command, user: User) {
    if user == User::Nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Gives a folder and all that is in it to nobody, but for files that are meant to be root's.
fn give(path: &Path) {
    let is_roots = path.file_name().is_some_and(|name| name == "whoami");
    if path.is_symlink() || is_roots {
        return;
    }
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// Commands are tried, whatever guards think of them.
const POLICY: &str = r#"
[guards.command-policy]
mode = "monitor"
[guards.protected-paths]
mode = "monitor"
[guards.secret-scan]
mode = "monitor"
[risk]
mode = "off"
[process.limits]
memory_mib = 512
processes = 320
open_files = 256
file_mib = 64
disk_mib = 65536
temporary_mib = 64
"#;

/// Whether an attempt is tried outside of the sandbox first, and by whom it succeeds there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outside {
    Works,
    WorksForRoot,
    NotTried,
}
use Outside::{NotTried, Works, WorksForRoot};

/// What is tried: a shell script that ends well when the attack succeeds.
const ATTEMPTS: &[(&str, Outside, &str)] = &[
    ("read another home", Works, "cat DIR/other-home/secret"),
    ("read the passwords", WorksForRoot, "cat /etc/shadow"),
    ("read the store", Works, "cat DIR/ho?e/key"),
    ("list the store", Works, "ls DIR/ho?e"),
    ("read another run's workspace", Works, "cat DIR/other-run/file"),
    ("read the plan beside the workspace", Works, "cat DIR/plan.json"),
    ("read a protected file", Works, "grep SECRET .env"),
    ("write outside", Works, "echo x > DIR/outside/new"),
    ("write outside through a link", Works, "echo x > leads-out/new2"),
    ("write outside through a new link", Works, "ln -s DIR/outside/file l1 && echo x >> l1"),
    ("take a hard link of a file outside", Works, "ln DIR/other-home/secret l2 && cat l2"),
    ("read outside through /proc/self/root", Works, "cat /proc/self/root/DIR/other-home/secret"),
    ("read outside through the first process", NotTried, "cat /proc/1/root/DIR/other-home/secret"),
    ("read outside through a cwd of somebody", Works, "ls /proc/PID/cwd/"),
    ("climb out by dots", Works, "cat ../other-home/secret"),
    (
        "climb out by a folder handle",
        Works,
        "python3 -c \"import os; os.fchdir(os.open('/', 0)); open('DIR/outside/file').read()\"",
    ),
    ("write the system", WorksForRoot, "touch /usr/fusebox-test && rm /usr/fusebox-test"),
    ("write settings of the kernel", NotTried, "echo x > /proc/sys/kernel/core_pattern"),
    ("write settings of the machine", NotTried, "echo h > /proc/sysrq-trigger"),
    ("read the disk", NotTried, "head -c 1 /dev/vda"),
    ("make a device", NotTried, "mknod d b 254 0 && head -c 1 d"),
    ("bind another folder here", NotTried, "mkdir m && mount --bind / m && ls m/work"),
    ("mount memory", NotTried, "mkdir m2 && mount -t tmpfs none m2"),
    ("unmount what covers", NotTried, "umount .env || umount .git/hooks"),
    ("make namespaces", Works, "unshare -Ur true"),
    (
        "make namespaces by clone",
        NotTried,
        "python3 -c \"import ctypes; l = ctypes.CDLL(None); e = l.syscall(56, 0x10000000 | 17, 0, 0, 0, 0); e == 0 and __import__('os')._exit(0); exit(e < 0)\"",
    ),
    ("change the root", WorksForRoot, "chroot / true"),
    ("connect by TCP", Works, "python3 -c \"import socket; socket.create_connection(('127.0.0.1', TCP), 2)\""),
    (
        "talk by UDP",
        Works,
        "python3 -c \"import socket; s = socket.socket(2, 2); s.settimeout(2); s.sendto(b'x', ('127.0.0.1', UDP)); s.recv(1)\"",
    ),
    ("connect to a socket", Works, "python3 -c \"import socket; socket.socket(1).connect('DIR/outside/socket')\""),
    (
        "connect to a socket through a link",
        Works,
        "python3 -c \"import socket; socket.socket(1).connect('leads-out/socket')\"",
    ),
    (
        "connect to an abstract socket",
        Works,
        "python3 -c \"import socket; socket.socket(1).connect('\\\\0fusebox-test-NAME')\"",
    ),
    ("talk to the machine below", Works, "python3 -c \"import socket; socket.socket(40, 1)\""),
    ("see a process", Works, "test \"$(cat /proc/PID/comm)\" = sleep"),
    ("see any command of the host", Works, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep 'sleep 1000[.]5'"),
    ("signal a process", Works, "kill -0 PID"),
    ("signal everybody", NotTried, "kill -0 -1 && test $(ls -d /proc/[0-9]* | wc -l) -gt 20"),
    ("signal the first process", NotTried, "kill -KILL 1; sleep 0.2; test ! -d /proc/1"),
    (
        "trace the first process",
        NotTried,
        "python3 -c \"import ctypes; exit(ctypes.CDLL(None).ptrace(16, 1, 0, 0) != 0)\"",
    ),
    ("read the first process's memory", NotTried, "head -c 1 /proc/1/mem || cat /proc/1/environ /proc/1/maps | grep ."),
    ("take the first process's channel", NotTried, "cat /proc/1/fd/0 || echo x > /proc/1/fd/0"),
    (
        "trace a process",
        Works,
        "python3 -c \"import ctypes; l = ctypes.CDLL(None); r = l.ptrace(16, PID, 0, 0); l.waitpid(PID, 0, 0x40000000); l.ptrace(17, PID, 0, 0); exit(r != 0)\"",
    ),
    (
        "use the session's keyring",
        Works,
        "python3 -c \"import ctypes; exit(ctypes.CDLL(None).syscall(250, 0, -3, 1) < 0)\"",
    ),
    (
        "add a key",
        Works,
        "python3 -c \"import ctypes; exit(ctypes.CDLL(None).syscall(248, b'user', b'fusebox-test', b'x', 1, -2) < 0)\"",
    ),
    (
        "watch the machine",
        NotTried,
        "python3 -c \"import ctypes; exit(ctypes.CDLL(None).syscall(298, 0, 0, 0, 0, 0) < 0)\"",
    ),
    (
        "use io_uring",
        NotTried,
        "python3 -c \"import ctypes; b = ctypes.create_string_buffer(512); exit(ctypes.CDLL(None).syscall(425, 1, b) < 0)\"",
    ),
    (
        "load a program into the kernel",
        NotTried,
        "python3 -c \"import ctypes; b = ctypes.create_string_buffer(256); exit(ctypes.CDLL(None).syscall(321, 0, b, 128) < 0)\"",
    ),
    ("raise a limit", Works, "ulimit -n 300"),
    ("become root by set-user-id", NotTried, "test \"$(./whoami -u)\" = 0 && test \"$(id -u)\" != 0"),
    ("leave a set-user-id file behind", Works, "cp /usr/bin/id u && chmod 4755 u && rm -f u"),
    (
        "make a set-user-id file without a name",
        Works,
        "python3 -c \"import os; os.open('.', 0o20200000 | os.O_RDWR, 0o4755)\"",
    ),
    (
        "make a set-user-id file",
        Works,
        "python3 -c \"import os; os.open('v', os.O_CREAT | os.O_WRONLY, 0o4755)\" && rm -f v",
    ),
    ("become somebody else", WorksForRoot, "python3 -c \"import os; os.setuid(1234)\""),
    ("gain a capability", NotTried, "grep -E 'Cap(Prm|Eff|Bnd|Amb|Inh):.*[1-9a-f]' /proc/self/status"),
    ("name the machine", NotTried, "python3 -c \"import socket; socket.sethostname('x')\""),
    ("move the workspace away", Works, "mv DIR/workspace DIR/moved && mv DIR/moved DIR/workspace"),
    ("replace the workspace by a link", NotTried, "mv DIR/workspace DIR/w2 && ln -s DIR/outside DIR/workspace"),
    ("write a hook", Works, "echo x > .git/hooks/pre-commit"),
    ("replace the hooks", Works, "mv .git/hooks .git/h && mv .git/h .git/hooks"),
    ("replace what the hooks lie in", Works, "mv .git .g && mv .g .git"),
    ("change what version control obeys", Works, "echo >> .git/config"),
    ("run fusebox", Works, "DIR/fuse*x --version"),
    ("use what was left open", NotTried, "cat <&9"),
];

#[test]
fn every_attempt_is_refused() {
    for user in users() {
        let target = Target::new(user);
        std::fs::write(target.path("plan.json"), "{}").unwrap();
        let is_root = rustix::process::getuid().is_root() && user == User::Own;
        for (name, outside, script) in ATTEMPTS {
            if *outside == Works || (*outside == WorksForRoot && is_root) {
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
            "git init -q repo && cd repo && git -c user.name=a -c user.email=b commit -q --allow-empty -m x && echo fine",
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
        // In a place of its own: what anybody writes to the file system counts.
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
        let grants = "[process]\nnetwork = true\nhidden = ['plain']\nread_only = ['sub']\n\
                      [process.paths.store]\npath = 'DIR/home'\naccess = 'write'\n\
                      [process.paths.tools]\npath = 'DIR/outside'\naccess = 'read'\n\
                      [process.paths.cache]\npath = '~/.'\naccess = 'write'\n[process.limits]";
        let policy = target.fill(&POLICY.replace("[process.limits]", grants));
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
    assert!(message.contains(".git/commondir") && message.contains("taken away"), "{message}");
    assert!(!target.path("workspace/.git/commondir").exists() && !target.path("workspace/fusebox.toml").exists());
    assert!(target.path("workspace/evil").exists());
    // A repository of its own is a command's to make.
    assert!(
        target.outputs(&["git init -q own && ls own/.git/hooks > /dev/null && echo fine".to_owned()])[0]
            .ends_with("fine")
    );
}

#[test]
fn a_grant_by_a_link_does_not_show_the_store() {
    let target = Target::new(User::Own);
    std::fs::create_dir(target.path("data")).unwrap();
    std::fs::rename(target.path("home"), target.path("data/home")).unwrap();
    symlink(target.path("data"), target.path("link")).unwrap();
    symlink(target.path("data/home"), target.path("home")).unwrap();
    let grant = "[process]\nread_only = ['sub']\nhidden = ['sub/secret', 'plain/x']\n\
                 [process.paths.data]\npath = 'DIR/link'\naccess = 'write'\n[process.limits]";
    std::fs::write(target.path("workspace/sub/secret"), "SECRET-hidden").unwrap();
    std::fs::write(target.path("policy.toml"), target.fill(&POLICY.replace("[process.limits]", grant))).unwrap();
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
