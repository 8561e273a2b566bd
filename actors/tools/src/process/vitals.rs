//! Who a process is, so that a number used again is not taken for it: pid, start time and boot.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, told from every other that had or will have its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// The process's number.
    pub pid: i32,
    /// When it started, in clock ticks since the boot.
    pub start_ticks: u64,
    /// The boot that it belongs to.
    pub boot_id: String,
}

impl Vitals {
    /// This process's own.
    pub fn own() -> io::Result<Vitals> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let stat = Stat::of(pid)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Vitals { pid, start_ticks: stat.start_ticks, boot_id: boot_id()? })
    }

    /// Whether the process still runs. One that has ended and waits for its parent does not.
    pub fn alive(&self) -> bool {
        self.same_boot()
            && matches!(Stat::of(self.pid), Ok(Some(stat)) if stat.start_ticks == self.start_ticks && !stat.ended())
    }

    /// Whether the machine has not been started anew since.
    pub fn same_boot(&self) -> bool {
        boot_id().is_ok_and(|boot_id| boot_id == self.boot_id)
    }

    /// A handle on the process that becomes readable when it ends; `None` if it has ended.
    pub fn handle(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let handle = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after the handle was taken: whom it means cannot change any more.
        Ok(self.alive().then_some(handle))
    }

    /// Sends a signal to this process and no other. `false` if it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(handle) = self.handle()? else { return Ok(false) };
        match pidfd_send_signal(&handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// One letter: `Z` is a process that has ended and is not yet collected.
    pub state: char,
    pub parent: i32,
    pub start_ticks: u64,
}

impl Stat {
    /// `None` if there is no such process.
    pub fn of(pid: i32) -> io::Result<Option<Stat>> {
        match std::fs::read(format!("/proc/{pid}/stat")) {
            Ok(text) => Ok(Stat::parse(&String::from_utf8_lossy(&text))),
            // A process that ends while it is read gives the second.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The name stands in parentheses and may hold anything, parentheses and spaces included: the last one ends it.
    fn parse(text: &str) -> Option<Stat> {
        let mut fields = text.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start_ticks = fields.nth(17)?.parse().ok()?;
        Some(Stat { state, parent, start_ticks })
    }

    /// Whether the process has ended.
    pub fn ended(self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_confuses_nobody() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9001 8704000 1 18446744073709551615";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'S', parent: 7, start_ticks: 9001 }));
        assert_eq!(Stat::parse("42 (a"), None);
    }

    #[test]
    fn this_process_lives_and_one_with_its_number_from_another_time_does_not() {
        let own = Vitals::own().expect("the process can be read");
        assert!(own.alive());
        assert!(!Vitals { start_ticks: own.start_ticks + 1, ..own.clone() }.alive(), "the number was used again");
        assert!(!Vitals { boot_id: "another".to_owned(), ..own.clone() }.alive(), "the machine was started anew");
        let other = Vitals { start_ticks: own.start_ticks + 1, ..own };
        assert!(!other.signal(Signal::KILL).expect("it can be asked"), "and nobody is hit in its place");
    }

    #[test]
    fn an_ended_process_that_nobody_collected_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().expect("`true` runs");
        let pid = i32::try_from(child.id()).expect("it is a number");
        let vitals = Stat::of(pid).expect("it can be read").map(|stat| Vitals {
            pid,
            start_ticks: stat.start_ticks,
            boot_id: boot_id().expect("there is a boot"),
        });
        let vitals = vitals.expect("it is there until it is collected");
        let pid = Pid::from_raw(pid).expect("it is a number");
        let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), ended).expect("it ends");
        assert!(!vitals.alive());
        child.wait().expect("it is collected");
    }
}
