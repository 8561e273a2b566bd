//! All that a process has started, and what that has started, as far as it still runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};

use super::vitals::Stat;

/// How often what has just been found is looked for again: something may be started while the list is read.
const ROUNDS_MAX: u32 = 200;

/// The processes below `ancestor` that have not ended. The ancestor must collect orphans, or those are not found.
pub(crate) fn descendants(ancestor: i32) -> io::Result<Vec<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut running = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Some(stat) = Stat::of(pid)? {
            children.entry(stat.parent).or_default().push(pid);
            if !stat.ended() {
                running.insert(pid);
            }
        }
    }
    let mut found = Vec::new();
    let mut open = vec![ancestor];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            if running.contains(&child) {
                found.push(child);
            }
            open.push(child);
        }
    }
    Ok(found)
}

/// Sends a signal to all of them; those that have ended meanwhile are passed over.
pub(crate) fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends all processes below `ancestor`. First they are stopped, until no new ones are found: what is stopped starts nothing.
pub(crate) fn end(ancestor: i32) -> io::Result<()> {
    let mut known = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let all = descendants(ancestor)?;
        let news: Vec<i32> = all.into_iter().filter(|pid| known.insert(*pid)).collect();
        if news.is_empty() {
            break;
        }
        signal(&news, Signal::STOP);
    }
    for _ in 0..ROUNDS_MAX {
        let all = descendants(ancestor)?;
        if all.is_empty() {
            return Ok(());
        }
        signal(&all, Signal::KILL);
        std::thread::yield_now();
    }
    Ok(())
}
