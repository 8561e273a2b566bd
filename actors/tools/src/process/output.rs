//! The output of a process on disk: one stream cut into segments of one size. The first few are kept, and the last few; what
//! lies between goes as more comes, so that a gigabyte of output costs no more than the segments do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const PREFIX: &str = "output-";

/// How much output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLimits {
    /// Bytes of a segment; at least 1.
    pub segment_bytes: u64,
    /// Segments kept from the beginning.
    pub first_segments: u64,
    /// Segments kept from the end, the one being written included; at least 1.
    pub last_segments: u64,
}

impl Default for OutputLimits {
    /// The first and the last 8 MiB.
    fn default() -> OutputLimits {
        OutputLimits { segment_bytes: 1024 * 1024, first_segments: 8, last_segments: 8 }
    }
}

/// A piece of a process's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputChunk {
    /// Where the piece begins, in bytes from the beginning of all output. Later than asked for if what was asked for is gone.
    pub from_byte: u64,
    /// The piece. Not cut at letters: one may be divided between two pieces.
    pub bytes: Vec<u8>,
    /// All output so far, in bytes.
    pub total_bytes: u64,
}

impl OutputChunk {
    /// Where the next piece begins.
    pub fn next_byte(&self) -> u64 {
        self.from_byte + self.bytes.len() as u64
    }
}

fn segment_path(directory: &Path, index: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{index:012}"))
}

/// The indices of the segments there are, in order.
fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut indices = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if let Some(index) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.parse().ok())
        {
            indices.push(index);
        }
    }
    indices.sort_unstable();
    Ok(indices)
}

/// Writes output. Never fails its caller: a full disk must not stop the process whose output this is.
#[derive(Debug)]
pub(crate) struct OutputWriter {
    directory: PathBuf,
    limits: OutputLimits,
    current: Option<File>,
    total_bytes: u64,
    lost_bytes: u64,
}

impl OutputWriter {
    pub fn new(directory: &Path, limits: OutputLimits) -> OutputWriter {
        let limits = OutputLimits {
            segment_bytes: limits.segment_bytes.max(1),
            last_segments: limits.last_segments.max(1),
            ..limits
        };
        OutputWriter { directory: directory.to_path_buf(), limits, current: None, total_bytes: 0, lost_bytes: 0 }
    }

    /// Appends bytes.
    pub fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let within = self.total_bytes % self.limits.segment_bytes;
            let room = usize::try_from(self.limits.segment_bytes - within).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            if self.append(within, now).is_err() {
                // The place stays counted, so that all addresses stay true; the reader finds a hole or zeros there.
                self.lost_bytes += now.len() as u64;
                self.current = None;
            }
            self.total_bytes += now.len() as u64;
            bytes = later;
        }
    }

    fn append(&mut self, within: u64, bytes: &[u8]) -> io::Result<()> {
        if within == 0 {
            self.current = None;
            self.drop_middle();
        }
        let file = match &mut self.current {
            Some(file) => file,
            empty => {
                let path = segment_path(&self.directory, self.total_bytes / self.limits.segment_bytes);
                let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)?;
                empty.insert(file)
            }
        };
        file.seek(SeekFrom::Start(within))?;
        file.write_all(bytes)
    }

    /// Removes what the segment that begins now pushes out.
    fn drop_middle(&self) {
        let beginning = self.total_bytes / self.limits.segment_bytes;
        if let Some(index) = beginning.checked_sub(self.limits.last_segments)
            && index >= self.limits.first_segments
        {
            let _ = fs::remove_file(segment_path(&self.directory, index));
        }
    }

    /// Frees what can be spared, for something more important to be written.
    pub fn make_room(&mut self) {
        self.current = None;
        let last = segments(&self.directory).ok().and_then(|mut all| all.pop());
        if let Some(index) = last {
            let path = segment_path(&self.directory, index);
            self.lost_bytes += fs::metadata(&path).map_or(0, |file| file.len());
            let _ = fs::remove_file(path);
        }
    }

    /// Makes what was written last survive a power cut.
    pub fn sync(&self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// All output so far, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// What could not be written, in bytes.
    pub fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }
}

/// The bytes written so far, as the disk has them.
pub(crate) fn total_bytes(directory: &Path, limits: OutputLimits) -> io::Result<u64> {
    let Some(last) = segments(directory)?.pop() else { return Ok(0) };
    let length = match fs::metadata(segment_path(directory, last)) {
        Ok(file) => file.len(),
        // Dropped since the listing: then there is a later one, and this much at the least.
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(last * limits.segment_bytes.max(1) + length)
}

/// Reads a piece: at most `bytes_max`, from `from_byte` or the next byte that is still there.
pub(crate) fn read(
    directory: &Path,
    limits: OutputLimits,
    from_byte: u64,
    bytes_max: usize,
) -> io::Result<OutputChunk> {
    let segment_bytes = limits.segment_bytes.max(1);
    let total = total_bytes(directory, limits)?;
    let mut chunk = OutputChunk { from_byte: from_byte.min(total), bytes: Vec::new(), total_bytes: total };
    let segments = segments(directory)?;
    for index in segments.iter().copied() {
        let beginning = index * segment_bytes;
        let end = beginning + segment_bytes;
        if end <= chunk.next_byte() {
            continue;
        }
        // A gap ends the piece: what follows it has another address.
        if beginning > chunk.next_byte() && !chunk.bytes.is_empty() {
            break;
        }
        if chunk.bytes.is_empty() {
            chunk.from_byte = chunk.from_byte.max(beginning);
        }
        let mut file = match File::open(segment_path(directory, index)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(chunk.next_byte() - beginning))?;
        let room = (bytes_max - chunk.bytes.len()) as u64;
        file.take(room).read_to_end(&mut chunk.bytes)?;
        if chunk.bytes.len() >= bytes_max || (chunk.next_byte() < end && !chunk.bytes.is_empty()) {
            break;
        }
        // Nothing here, though there are later segments: the rest of this one could not be written.
        if chunk.next_byte() < end && segments.last() != Some(&index) {
            chunk.from_byte = end;
        }
    }
    chunk.total_bytes = chunk.total_bytes.max(chunk.next_byte());
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: OutputLimits = OutputLimits { segment_bytes: 4, first_segments: 2, last_segments: 2 };

    fn written(pieces: &[&str]) -> (tempfile::TempDir, OutputWriter) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = OutputWriter::new(directory.path(), SMALL);
        for piece in pieces {
            writer.write(piece.as_bytes());
        }
        (directory, writer)
    }

    fn text(directory: &tempfile::TempDir, from: u64, most: usize) -> (u64, String, u64) {
        let chunk = read(directory.path(), SMALL, from, most).expect("it can be read");
        (chunk.from_byte, String::from_utf8(chunk.bytes).expect("it is text"), chunk.total_bytes)
    }

    #[test]
    fn what_fits_is_read_as_it_was_written() {
        let (directory, writer) = written(&["ab", "cdefg", "", "hij"]);
        assert_eq!(writer.total_bytes(), 10);
        assert_eq!(text(&directory, 0, 100), (0, "abcdefghij".to_owned(), 10));
        assert_eq!(text(&directory, 3, 4), (3, "defg".to_owned(), 10));
        assert_eq!(text(&directory, 10, 100), (10, String::new(), 10));
        assert_eq!(text(&directory, 99, 100), (10, String::new(), 10), "beyond the end is the end");
    }

    #[test]
    fn the_middle_of_too_much_goes_and_addresses_stay() {
        let all: String = ('a'..='z').collect();
        let (directory, writer) = written(&[&all]);
        assert_eq!(writer.total_bytes(), 26);
        assert_eq!(
            text(&directory, 0, 100),
            (0, "abcdefgh".to_owned(), 26),
            "the first piece ends where the gap begins"
        );
        assert_eq!(text(&directory, 8, 100), (20, "uvwxyz".to_owned(), 26), "the next begins where it ends");
        assert_eq!(text(&directory, 21, 2), (21, "vw".to_owned(), 26));
        assert_eq!(segments(directory.path()).expect("it can be listed"), [0, 1, 5, 6]);
    }

    #[test]
    fn a_segment_that_could_not_be_finished_stops_no_reader() {
        let (directory, _writer) = written(&["abcdefghij"]);
        fs::write(segment_path(directory.path(), 1), "e").expect("it can be written");
        assert_eq!(text(&directory, 0, 100), (0, "abcde".to_owned(), 10));
        assert_eq!(text(&directory, 5, 100), (8, "ij".to_owned(), 10));
    }

    #[test]
    fn nothing_written_is_nothing_read() {
        let (directory, _writer) = written(&[]);
        assert_eq!(text(&directory, 0, 100), (0, String::new(), 0));
    }

    #[test]
    fn a_directory_that_cannot_be_written_loses_output_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = OutputWriter::new(&directory.path().join("gone"), SMALL);
        writer.write(b"abcdef");
        assert_eq!((writer.total_bytes(), writer.lost_bytes()), (6, 6));
    }
}
