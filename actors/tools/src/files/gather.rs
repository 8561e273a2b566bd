//! The beginnings of all files that fit a few patterns, with a digest of each whole: what is read of a workspace at one look.

use std::io::Read;

use sha2::{Digest as _, Sha256};
use verbatim_events::ids::Digest;

use super::beneath::Beneath;
use super::local::{open, read};
use super::{Content, ENTRIES_MAX, EntryKind, FileError, Window};

/// Bytes of a file that its digest is over at most.
const DIGEST_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Files beyond those that are wanted, which are counted for one pattern.
pub(crate) const LEFT_OUT_MAX: usize = 1_000;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Which files are wanted, and how much of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// A path below the root. A `*` in a part of it stands for any letters, but not for a name that is hidden.
    pub path: &'static str,
    /// How much of each file is brought, in bytes.
    pub head_max_bytes: usize,
    /// How many files, the first by name.
    pub files_max: usize,
}

/// A file that fitted a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// Its path below the root.
    pub path: String,
    /// The first bytes of it.
    pub head: Vec<u8>,
    /// Its size.
    pub size_bytes: u64,
    /// Of all that stands in it.
    pub digest: Digest,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathering {
    /// The files, in the order of the patterns and by name.
    pub files: Vec<Gathered>,
    /// How many files more fit a pattern than are wanted of it, by the pattern's place; a thousand stands for all more. None
    /// for patterns that are not there.
    pub left_out: Vec<usize>,
}

impl Gathering {
    /// How many files more fit the pattern at this place.
    pub fn left_out_of(&self, pattern: usize) -> usize {
        self.left_out.get(pattern).copied().unwrap_or(0)
    }
}

/// The files below a root that fit the patterns. What cannot be read, leads out or is no file does not fit.
pub(super) fn gather(beneath: &Beneath, patterns: &[Pattern]) -> Result<Gathering, FileError> {
    let mut gathering = Gathering::default();
    for pattern in patterns {
        let (mut taken, mut left_out) = (0, 0);
        for path in paths(beneath, pattern.path)? {
            if taken == pattern.files_max {
                left_out += usize::from(is_file(beneath, &path));
                if left_out == LEFT_OUT_MAX {
                    break;
                }
                continue;
            }
            match load(beneath, path, pattern.head_max_bytes) {
                Ok(file) => {
                    gathering.files.push(file);
                    taken += 1;
                }
                Err(error @ FileError::Unavailable(_)) => return Err(error),
                Err(_) => {}
            }
        }
        gathering.left_out.push(left_out);
    }
    Ok(gathering)
}

fn is_file(beneath: &Beneath, path: &str) -> bool {
    open(beneath, path).is_ok_and(|(_, stat)| super::beneath::wanted_file(path, &stat).is_ok())
}

/// The paths that a pattern stands for, by name.
fn paths(beneath: &Beneath, pattern: &str) -> Result<Vec<String>, FileError> {
    let mut found = vec![String::new()];
    for part in pattern.split('/') {
        let mut next = Vec::new();
        for above in &found {
            let below = |name: &str| if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
            match part.split_once('*') {
                None => next.push(below(part)),
                Some((first, last)) => next.extend(names(beneath, above, first, last)?.iter().map(|name| below(name))),
            }
        }
        found = next;
    }
    Ok(found)
}

/// What lies in a directory and is named so.
fn names(beneath: &Beneath, directory: &str, first: &str, last: &str) -> Result<Vec<String>, FileError> {
    let asked = if directory.is_empty() { "." } else { directory };
    let entries = match read(beneath, asked, Window { offset: 1, limit: ENTRIES_MAX }) {
        Ok(Content::Directory { entries, .. }) => entries,
        Err(error @ FileError::Unavailable(_)) => return Err(error),
        Ok(Content::Text(_)) | Err(_) => return Ok(Vec::new()),
    };
    let fits = |name: &str| {
        let long_enough = name.len() >= first.len() + last.len();
        !name.starts_with('.') && long_enough && name.starts_with(first) && name.ends_with(last)
    };
    let named = entries.into_iter().filter(|entry| entry.kind != EntryKind::Other && fits(&entry.name));
    Ok(named.map(|entry| entry.name).collect())
}

fn load(beneath: &Beneath, path: String, head_max_bytes: usize) -> Result<Gathered, FileError> {
    let (mut file, stat) = open(beneath, &path)?;
    super::beneath::wanted_file(&path, &stat)?;
    let failed = |error: std::io::Error| FileError::Unavailable(format!("{path}: {error}"));
    let (mut head, mut hash, mut read_bytes) = (Vec::new(), Sha256::new(), 0_u64);
    let mut chunk = vec![0; CHUNK_BYTES];
    while read_bytes < DIGEST_MAX_BYTES {
        let count = file.read(&mut chunk).map_err(failed)?;
        if count == 0 {
            break;
        }
        let wanted = head_max_bytes.saturating_sub(head.len()).min(count);
        head.extend_from_slice(&chunk[..wanted]);
        hash.update(&chunk[..count]);
        read_bytes += count as u64;
    }
    let size_bytes = u64::try_from(stat.st_size).unwrap_or(0).max(read_bytes);
    Ok(Gathered { path, head, size_bytes, digest: Digest(hash.finalize().into()) })
}
