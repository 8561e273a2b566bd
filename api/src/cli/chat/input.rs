//! What the user types: lines from a thread of their own, since reading a terminal blocks.

use std::io::{self, BufRead as _};

use tokio::sync::mpsc;

/// The largest text taken from a pipe, in bytes. The server has its own, smaller bound.
const PIPE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The lines of standard input, one ahead at most. The channel closes at the end of the input.
pub(super) fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    // The thread is left behind in its read when the program ends; nothing waits for it.
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// All of standard input.
pub(super) fn whole() -> io::Result<String> {
    let text = io::read_to_string(io::Read::take(io::stdin().lock(), PIPE_MAX_BYTES))?;
    Ok(text.trim_end_matches('\n').to_owned())
}
