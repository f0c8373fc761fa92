//! The attempts.

use Outside::{NotTried, Works, WorksForRoot};

/// Commands are tried, whatever guards think of them.
pub const POLICY: &str = r#"
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
pub enum Outside {
    Works,
    WorksForRoot,
    NotTried,
}

/// What is tried: a shell script that ends well when the attack succeeds.
pub const ATTEMPTS: &[(&str, Outside, &str)] = &[
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
    ("read outside through the cwd of another process", Works, "ls /proc/PID/cwd/"),
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
    ("become another user", WorksForRoot, "python3 -c \"import os; os.setuid(1234)\""),
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
