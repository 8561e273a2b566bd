//! The lines of a file, one after the other, each bounded; and what they come to.

use std::io::{self, BufRead, Read as _};

use sha2::Digest as _;
use verbatim_events::ids::Digest;

/// The longest line, in bytes. An event of a model that answered with all that one attempt may hold is far below it.
pub const LINE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Room that is kept between lines; a longer line gives its room back.
const ROOM_KEPT: usize = 1024 * 1024;

/// A reader of lines.
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
    hasher: sha2::Sha256,
    longest: usize,
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line, which `Lines::line` has.
    Line,
    /// A line that is too long.
    TooLong,
    /// Nothing.
    End,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Lines<R> {
        Lines::up_to(reader, LINE_BYTES_MAX)
    }

    /// With another bound.
    pub(super) fn up_to(reader: R, longest: usize) -> Lines<R> {
        Lines { reader, line: Vec::new(), number: 0, hasher: sha2::Sha256::new(), longest }
    }

    /// Reads the next line.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        self.hasher.update(&self.line);
        self.line.clear();
        self.line.shrink_to(ROOM_KEPT);
        let bound = self.longest as u64 + 1;
        let read = self.reader.by_ref().take(bound).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(Next::End);
        }
        self.number += 1;
        Ok(if self.line.last() != Some(&b'\n') && read as u64 == bound { Next::TooLong } else { Next::Line })
    }

    /// The line that was read, without its end.
    pub(super) fn line(&self) -> &[u8] {
        self.line.strip_suffix(b"\n").unwrap_or(&self.line)
    }

    /// The number of the line that was read; the first is 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What all bytes before the line come to.
    pub(super) fn digest_before(&self) -> Digest {
        Digest(self.hasher.clone().finalize().into())
    }
}
