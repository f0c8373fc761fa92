//! System calls that no command of a step needs, and that reach beyond namespaces and Landlock: keyrings, the kernel's
//! own interfaces, and socket families without a namespace, such as those of a virtual machine's host.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// System calls that are refused with any arguments.
const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_memfd_secret,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    libc::SYS_vmsplice,
];
/// Namespaces that may not be made, by their flags of `unshare` and `clone`.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Kinds of sockets that may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// Those that a namespace confines, or that the policy grants.
    Network,
    /// Those between processes of one machine.
    Local,
}

/// `fchmodat2` (Linux 6.6), which the library does not name for every architecture.
const FCHMODAT2: i64 = 452;
/// Bits of a mode that give rights to the user who runs the file. The sandbox ignores them; the host would not.
const RIGHTS_OF_FILES: [u32; 2] = [libc::S_ISUID, libc::S_ISGID];
/// Calls that set a mode, with the place of the mode.
const MODES: &[(i64, u8)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (libc::SYS_mknodat, 2),
    (FCHMODAT2, 2),
];
/// Flags of opening that make a file: at a name, or without any (`__O_TMPFILE`, fcntl.h).
const CREATING: [u32; 2] = [libc::O_CREAT.cast_unsigned(), 0o20_000_000];
/// Calls that set a mode if they create, with the places of flags and mode.
const OPENS: &[(i64, u8, u8)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1, 2),
    (libc::SYS_openat, 2, 3),
];
/// Calls with arguments behind a pointer, where a filter cannot see them. Programs have older ones to fall back on.
const HIDING: [i64; 2] = [libc::SYS_clone3, libc::SYS_openat2];

/// Calls that change how the process is scheduled that their first argument names, or its limits; 0 is the caller itself.
const OF_OTHERS: [i64; 5] = [
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
];
/// Those that can name groups of processes as well, with the first argument by which they name one.
const OF_GROUPS: [(i64, u32); 2] = [(libc::SYS_ioprio_set, 1), (libc::SYS_setpriority, libc::PRIO_PROCESS)];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refuses those calls, for this process and all that it starts, for good.
pub fn restrict(sockets: Sockets) -> Result<(), String> {
    let failed = |error: seccompiler::BackendError| error.to_string();
    let refused = refused(sockets).map_err(failed)?;
    let unknown = HIDING.iter().map(|call| (*call, Vec::new())).collect();
    apply(unknown, libc::ENOSYS)?;
    apply(refused, libc::EPERM)
}

fn apply(rules: Rules, errno: i32) -> Result<(), String> {
    let failed = |error: seccompiler::BackendError| error.to_string();
    let arch = std::env::consts::ARCH.try_into().map_err(failed)?;
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(failed)?;
    let program: BpfProgram = filter.try_into().map_err(failed)?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

fn refused(sockets: Sockets) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    for call in [libc::SYS_unshare, libc::SYS_clone] {
        for flag in NAMESPACES {
            rules.entry(call).or_default().push(SeccompRule::new(vec![has(0, flag.cast_unsigned())?])?);
        }
    }
    for bit in RIGHTS_OF_FILES {
        for (call, mode) in MODES {
            rules.entry(*call).or_default().push(SeccompRule::new(vec![has(*mode, bit)?])?);
        }
        for (call, flags, mode) in OPENS {
            for flag in CREATING {
                let rule = SeccompRule::new(vec![has(*flags, flag)?, has(*mode, bit)?])?;
                rules.entry(*call).or_default().push(rule);
            }
        }
    }
    // The usual execution domain, and the question which one it is.
    let others = [0, u32::MAX].map(|domain| condition(0, SeccompCmpOp::Ne, domain));
    let others = others.into_iter().collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_personality, vec![SeccompRule::new(others)?]);
    // Processes may not hide their open files from the one that counts their memory.
    let hides = vec![
        condition(0, SeccompCmpOp::Eq, libc::PR_SET_DUMPABLE.cast_unsigned())?,
        condition(1, SeccompCmpOp::Eq, 0)?,
    ];
    rules.insert(libc::SYS_prctl, vec![SeccompRule::new(hides)?]);
    // Processes may make themselves wait, and not the first one, which ends all others when it is told to.
    for call in OF_OTHERS {
        rules.insert(call, vec![SeccompRule::new(vec![condition(0, SeccompCmpOp::Ne, 0)?])?]);
    }
    for (call, of_a_process) in OF_GROUPS {
        let others = [condition(0, SeccompCmpOp::Ne, of_a_process)?, condition(1, SeccompCmpOp::Ne, 0)?];
        let rules_of = others.map(|other| SeccompRule::new(vec![other]));
        rules.insert(call, rules_of.into_iter().collect::<Result<_, _>>()?);
    }
    let families: &[i32] = match sockets {
        Sockets::Network => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
        Sockets::Local => &[libc::AF_UNIX],
    };
    let others = families.iter().map(|family| condition(0, SeccompCmpOp::Ne, family.cast_unsigned()));
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(others.collect::<Result<_, _>>()?)?]);
    Ok(rules)
}

/// An argument has a bit.
fn has(argument: u8, bit: u32) -> Result<SeccompCondition, seccompiler::BackendError> {
    condition(argument, SeccompCmpOp::MaskedEq(bit.into()), bit)
}

fn condition(argument: u8, compare: SeccompCmpOp, value: u32) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value.into())
}
