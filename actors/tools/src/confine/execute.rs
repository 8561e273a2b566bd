//! The last step: this process gives up all it does not need, and becomes the command.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};
use serde::{Deserialize, Serialize};

use super::{ConfineError, Confinement, Doing as _, Layers, rules};

/// What a process is to become. It gets this on its standard input, and says there why it did not; an end without a word is
/// that it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Execution {
    pub argv: Vec<String>,
    pub workdir: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub confinement: Option<Confinement>,
    pub layers: Layers,
}

/// Becomes the command that standard input tells of. Returns only if that failed.
pub fn run() -> std::io::Result<()> {
    // Out of the way of the command, and closed when it takes over: that is how it says that it did.
    let mut channel = UnixStream::from(rustix::io::dup(rustix::stdio::stdin())?);
    rustix::io::fcntl_setfd(&channel, rustix::io::FdFlags::CLOEXEC)?;
    let mut text = Vec::new();
    channel.read_to_end(&mut text)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let execution: Execution = serde_json::from_slice(&text)?;
    let message = match become_command(&execution) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    };
    channel.write_all(message.as_bytes())
}

fn become_command(execution: &Execution) -> Result<std::convert::Infallible, ConfineError> {
    let Some((program, arguments)) = execution.argv.split_first() else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput)).doing(|| "an empty command".to_owned());
    };
    // Should the one who watches over this be ended by force, this ends too.
    set_parent_process_death_signal(Some(Signal::KILL)).doing(|| "end with the supervisor".to_owned())?;
    setsid().doing(|| "session".to_owned())?;
    if let Some(confinement) = &execution.confinement {
        confinement.resources.apply(execution.layers)?;
        give_up_privileges().doing(|| "capabilities".to_owned())?;
        if execution.layers.landlock > 0 {
            rules::apply(confinement, execution.layers)?;
        }
    }
    std::env::set_current_dir(&execution.workdir).doing(|| format!("directory {}", execution.workdir.display()))?;
    let error = Command::new(program).args(arguments).env_clear().envs(&execution.environment).exec();
    Err(error).doing(|| format!("{program:?}"))
}

/// Gives up every capability, now and for all that is started from here.
fn give_up_privileges() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // Unknown to this kernel; or not ours to remove, and then not to be had again either: no new privileges, below.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)
}
