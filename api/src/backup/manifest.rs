//! What a backup says of itself: one small document beside the copies.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use verbatim_events::ids::{Digest, Position};

use super::{BackupError, PRIVATE_FILE, at, sync_folder};

/// The form of backups that this program makes and restores.
pub const MANIFEST_FORMAT: u32 = 1;

/// The manifest's name.
const MANIFEST_FILE: &str = "backup.json";
/// Its name while it is written.
const UNFINISHED_FILE: &str = "backup.json.new";
/// Of a manifest no more is read than this, in bytes.
const MANIFEST_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes copied at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the backup.
    pub format: u32,
    /// The log that was copied; the restored one gets a timeline of its own.
    pub timeline: Uuid,
    /// The position of its last event in the copy.
    pub position: Position,
    /// When it was copied; UTC.
    pub made_at: DateTime<Utc>,
    /// How many chats it holds, those that were erased before included.
    pub chats: u64,
    /// The mark of the master key that wraps the keys; none where nothing is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_key: Option<String>,
    /// The databases.
    pub databases: Vec<CopiedFile>,
    /// How many files there are.
    pub files: u64,
    /// Files that chats show and that were gone or damaged when the backup was made.
    pub files_missing: Vec<Uuid>,
}

/// A file of a backup, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedFile {
    /// Its name in the backup's folder.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
    /// SHA-256 of what stands in it.
    pub sha256: Digest,
}

impl Manifest {
    /// Reads the manifest of the backup in this folder.
    pub fn read(folder: &Path) -> Result<Manifest, BackupError> {
        let path = folder.join(MANIFEST_FILE);
        let no_backup = |problem: String| BackupError::NoBackup { folder: folder.to_owned(), problem };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(no_backup(format!("there is no {MANIFEST_FILE}")));
            }
            Err(error) => return Err(at(&path)(error)),
        };
        let mut text = Vec::new();
        file.take(MANIFEST_MAX_BYTES).read_to_end(&mut text).map_err(at(&path))?;
        /// What every form of manifest begins with.
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| no_backup(format!("{MANIFEST_FILE} cannot be read: {error}"));
        let form: Form = serde_json::from_slice(&text).map_err(unreadable)?;
        if form.format != MANIFEST_FORMAT {
            let problem = format!("it has the form {}, this program knows {MANIFEST_FORMAT}", form.format);
            return Err(no_backup(problem));
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(unreadable)?;
        // Names lead nowhere else.
        match manifest.databases.iter().find(|copied| copied.name.is_empty() || copied.name.contains(['/', '\0'])) {
            Some(copied) => Err(no_backup(format!("{:?} is no name of a file", copied.name))),
            None => Ok(manifest),
        }
    }

    /// Makes the folder a backup.
    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        let (unfinished, path) = (folder.join(UNFINISHED_FILE), folder.join(MANIFEST_FILE));
        let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::other).map_err(at(&path))?;
        text.push(b'\n');
        let mut file = new_file(&unfinished)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(at(&unfinished))?;
        std::fs::rename(&unfinished, &path).map_err(at(&path))?;
        sync_folder(folder)
    }

    /// What it says of one of the databases.
    pub(super) fn database(&self, name: &str) -> Option<&CopiedFile> {
        self.databases.iter().find(|copied| copied.name == name)
    }
}

impl CopiedFile {
    /// What there is to say of a file.
    pub(super) fn of(path: &Path) -> Result<CopiedFile, BackupError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let (size_bytes, sha256) = pass_on(path, &mut io::sink()).map_err(at(path))?;
        Ok(CopiedFile { name, size_bytes, sha256 })
    }

    /// Copies the file from the backup's folder to a place where nothing is, and checks it on the way.
    pub(super) fn copy(&self, folder: &Path, to: &Path) -> Result<(), BackupError> {
        let from = folder.join(&self.name);
        let mut file = new_file(to)?;
        let (size_bytes, sha256) = pass_on(&from, &mut file).map_err(at(&from))?;
        file.sync_all().map_err(at(to))?;
        if size_bytes == self.size_bytes && sha256 == self.sha256 {
            return Ok(());
        }
        let problem = format!("{} is not what it was when the backup was made", self.name);
        Err(BackupError::NoBackup { folder: folder.to_owned(), problem })
    }
}

fn new_file(path: &Path) -> Result<File, BackupError> {
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path).map_err(at(path))
}

/// Copies a file to its end; how long it is and its SHA-256.
fn pass_on(path: &Path, to: &mut impl io::Write) -> io::Result<(u64, Digest)> {
    let (mut file, mut chunk) = (File::open(path)?, vec![0; CHUNK_BYTES]);
    let (mut size_bytes, mut hasher) = (0, Sha256::new());
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok((size_bytes, Digest(hasher.finalize().into())));
        }
        hasher.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        size_bytes += read as u64;
    }
}
