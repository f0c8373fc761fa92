//! System calls that no command of a step needs, and that reach what namespaces and Landlock do not cover: keyrings, the
//! kernel's own interfaces, and socket families without a namespace, such as those of a virtual machine's host.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Refused whatever their arguments.
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
];
/// Namespaces that may not be made, by their flags of `unshare` and `clone`. `clone3` hides its flags from filters; there,
/// the limit on user namespaces holds.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Which kinds of sockets may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// Those that a namespace confines, or that the policy grants.
    Network,
    /// Those between processes of one machine.
    Local,
}

/// Refuses those calls, for this process and all that it starts, for good.
pub fn restrict(sockets: Sockets) -> Result<(), String> {
    let failed = |error: seccompiler::BackendError| error.to_string();
    let always = REFUSED.iter().map(|call| Ok((*call, Vec::new())));
    let flags = |call, argument| {
        let rules = NAMESPACES.iter().map(|flag| {
            let flag = flag.cast_unsigned().into();
            SeccompRule::new(vec![condition(argument, SeccompCmpOp::MaskedEq(flag), flag)?])
        });
        rules.collect::<Result<Vec<_>, _>>().map(|rules| (call, rules))
    };
    let families: &[i32] = match sockets {
        Sockets::Network => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
        Sockets::Local => &[libc::AF_UNIX],
    };
    let others = families.iter().map(|family| condition(0, SeccompCmpOp::Ne, family.cast_unsigned().into()));
    let others = others.collect::<Result<Vec<_>, _>>().and_then(SeccompRule::new);
    let more =
        [flags(libc::SYS_unshare, 0), flags(libc::SYS_clone, 0), others.map(|rule| (libc::SYS_socket, vec![rule]))];
    let rules: BTreeMap<i64, Vec<SeccompRule>> = always.chain(more).collect::<Result<_, _>>().map_err(failed)?;
    let arch = std::env::consts::ARCH.try_into().map_err(failed)?;
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(failed)?;
    let program: BpfProgram = filter.try_into().map_err(failed)?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

fn condition(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
}
