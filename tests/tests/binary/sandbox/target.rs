//! What attackers reach for, outside of the sandbox.

use super::attempts::POLICY;
use super::*;

/// An ordinary user, when the tests run as root.
pub const NOBODY: u32 = 65534;

/// Who attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    Own,
    Nobody,
}

/// Both where both can be had.
pub fn users() -> Vec<User> {
    if rustix::process::getuid().is_root() { vec![User::Own, User::Nobody] } else { vec![User::Own] }
}

/// A machine to attack: a workspace, and everything that must not be reached from it.
pub struct Target {
    pub folder: tempfile::TempDir,
    pub user: User,
    pub tcp: TcpListener,
    pub udp: UdpSocket,
    pub bystander: Child,
    pub _sockets: Vec<UnixListener>,
}

impl Target {
    pub fn new(user: User) -> Self {
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
        fill_cache(&path("home"));
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
        // It runs as root for every caller, unless set-user-id is ignored.
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A script with the places that it attacks.
    pub fn fill(&self, script: &str) -> String {
        let folder = self.folder.path();
        script
            .replace("DIR", folder.to_str().unwrap())
            .replace("NAME", folder.file_name().unwrap().to_str().unwrap())
            .replace("TCP", &self.tcp.local_addr().unwrap().port().to_string())
            .replace("UDP", &self.udp.local_addr().unwrap().port().to_string())
            .replace("PID", &self.bystander.id().to_string())
    }

    pub fn fusebox(&self, args: &[&str]) -> Command {
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
    pub fn run(&self, scripts: &[String], more: &[&str]) -> (i32, Vec<Value>) {
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
    pub fn fails(&self, script: &str, more: &[&str]) -> String {
        let (_, lines) = self.run(&[self.fill(script)], more);
        let failed = events(&lines, "step_failed");
        assert_eq!(failed.len(), 1, "{script}: {:?}", events(&lines, "run_ended"));
        failed[0]["message"].as_str().unwrap().to_owned()
    }

    /// The outputs of scripts that all succeed.
    pub fn outputs(&self, scripts: &[String]) -> Vec<String> {
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

pub fn as_user(command: &mut Command, user: User) {
    if user == User::Nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Gives a folder and all that is in it to nobody, but for files that are meant to be root's.
pub fn give(path: &Path) {
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
