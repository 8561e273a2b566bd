//! Landlock: what a command may do with files, ports, signals and sockets, by rules that it cannot take off again.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

use super::{ConfineError, Confinement, DEVICES, Layers, SYSTEM_SETTINGS};

/// The newest rules that are known here. What the kernel does not know yet is left out by it.
const NEWEST: ABI = ABI::V9;

/// Puts the rules in force for this thread and all that it becomes or starts.
pub(super) fn apply(confinement: &Confinement, layers: Layers) -> Result<(), ConfineError> {
    let all = AccessFs::from_all(NEWEST);
    let read = AccessFs::from_read(NEWEST);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(NEWEST))?;
    if !confinement.network {
        // No port is allowed below, so none can be bound or connected to. In a network of its own that harms nobody.
        if !layers.network {
            rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
        }
    }
    let mut readable: Vec<PathBuf> = Vec::new();
    let mut writable = vec![confinement.workspace.clone(), confinement.scratch.clone()];
    if layers.namespaces {
        // All that there is in a root of its own is there to be read.
        readable.push(PathBuf::from("/"));
        writable.extend(["/tmp", "/dev/shm"].map(PathBuf::from));
    } else {
        readable.extend(confinement.readable_directories());
        readable.extend(SYSTEM_SETTINGS.iter().map(PathBuf::from));
        // Names of users: programs ask who they are.
        readable.extend(["/proc", "/etc/passwd", "/etc/group"].map(PathBuf::from));
    }
    writable.extend(DEVICES.iter().map(PathBuf::from));
    let status = rules
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(writable, all))?
        .restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced { Err(ConfineError::NotInForce) } else { Ok(()) }
}

/// The version of the interface that this kernel offers, 0 for none. Confines the calling process to nothing: only for a process
/// that has nothing else to do.
pub(super) fn version() -> u8 {
    let tried = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.add_rules(path_beneath_rules([Path::new("/")], AccessFs::from_all(NEWEST))))
        .and_then(|rules| rules.restrict_self());
    match tried.map(|status| (status.ruleset, status.landlock)) {
        Ok((RulesetStatus::NotEnforced, _)) | Err(_) => 0,
        Ok((_, landlock::LandlockStatus::Available { effective_abi, .. })) => effective_abi as u8,
        Ok(_) => 0,
    }
}
