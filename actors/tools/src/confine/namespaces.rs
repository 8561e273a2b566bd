//! Namespaces: entered by one process, settled by the first that is born in them.

use std::fs;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities};

use super::{ConfineError, Confinement, Doing as _, Layers, network, root};

/// Who a command of root believes to be: programs that see themselves as root try what they then are not allowed to.
const INSIDE_USER: u32 = 1000;

/// What settling needs: mounts, the loopback, and to give all of it up in the end.
const NEEDED: [CapabilitySet; 3] = [CapabilitySet::SYS_ADMIN, CapabilitySet::NET_ADMIN, CapabilitySet::SETPCAP];

/// The user and the group inside, for those outside.
fn inside(outside: u32) -> u32 {
    if outside == 0 { INSIDE_USER } else { outside }
}

/// Leaves the host's namespaces. The calling process must have one thread; its children are born in the new ones.
pub(crate) fn enter(confinement: &Confinement, layers: Layers) -> Result<(), ConfineError> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if layers.network && !confinement.network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags).doing(|| "new namespaces".to_owned())?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{} {user} 1", inside(user))),
        ("gid_map", format!("{} {group} 1", inside(group))),
    ] {
        fs::write(format!("/proc/self/{file}"), text).doing(|| format!("{file} of the new namespaces"))?;
    }
    keep_capabilities().doing(|| "capabilities for the new namespaces".to_owned())
}

/// Lets the program that is started next keep what settling needs.
fn keep_capabilities() -> rustix::io::Result<()> {
    let mut sets = capabilities(None)?;
    for capability in NEEDED {
        sets.inheritable |= capability;
    }
    set_capabilities(None, sets)?;
    NEEDED.iter().try_for_each(|capability| configure_capability_in_ambient_set(*capability, true))
}

/// Makes the new namespaces habitable: a root of their own, put together at `place`, an empty directory.
pub(crate) fn settle(confinement: &Confinement, layers: Layers, place: &Path) -> Result<(), ConfineError> {
    root::change(confinement, place)?;
    if layers.process_numbers {
        let most = confinement.resources.process_number_max();
        fs::write("/proc/sys/kernel/pid_max", most.to_string()).doing(|| "highest process number".to_owned())?;
    }
    if layers.network && !confinement.network {
        network::bring_loopback_up().doing(|| "loopback of the new network".to_owned())?;
    }
    Ok(())
}
