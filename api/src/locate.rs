//! The data directory: who may serve from it, where its server listens, and its admin key.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use verbatim_events_sql::seal::MasterKey;
use zeroize::Zeroizing;

/// The file that a server holds locked for its whole life.
const LOCK_FILE: &str = "server.lock";

/// The file that says where the server listens.
const SERVER_FILE: &str = "server.json";

/// The file that holds the admin key.
const KEY_FILE: &str = "admin.key";

/// The file that holds the master key, where no other is named.
const MASTER_FILE: &str = "master.key";

/// The variable that holds the master key where no file does.
pub const MASTER_VARIABLE: &str = "VERBATIM_MASTER_KEY";

/// Only the owner reads and writes.
const PRIVATE_FILE: u32 = 0o600;

/// Only the owner enters.
const PRIVATE_FOLDER: u32 = 0o700;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// Another process serves from it.
    #[error("a server runs on {} already{}", data_dir.display(), where_it_is(server))]
    Taken {
        /// The directory.
        data_dir: PathBuf,
        /// What the other process says about itself.
        server: Option<ServerInfo>,
    },
    /// A file in it cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A master key that cannot be one.
    #[error("the master key in {place}: {problem}")]
    BadMasterKey {
        /// The file or the variable.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// An admin key that cannot be one.
    #[error("an admin key has 1 to 256 visible ASCII characters without spaces")]
    BadKey,
}

fn where_it_is(server: &Option<ServerInfo>) -> String {
    match server {
        Some(server) => format!(": {} (process {})", server.url, server.pid),
        None => String::new(),
    }
}

/// What a server says about itself to programs on the same machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Its base URL, without a slash at the end.
    pub url: String,
    /// Its process.
    pub pid: u32,
}

/// A data directory.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

/// The right to serve from a data directory; given back when dropped.
#[derive(Debug)]
pub struct Serving {
    data_dir: DataDir,
    published: bool,
    _lock: File,
}

/// The admin key and where it is from.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey {
    /// The key itself. Never to be logged.
    pub secret: String,
    /// The file that holds it; `None` if a flag or variable gave it.
    pub file: Option<PathBuf>,
}

/// The master key and where it is from.
#[derive(Clone, Debug)]
pub struct MasterKeyHome {
    /// The key. Shows nothing of itself.
    pub key: Arc<MasterKey>,
    /// The file that holds it; `None` if a variable gave it.
    pub file: Option<PathBuf>,
}

impl std::fmt::Debug for AdminKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AdminKey").field("file", &self.file).finish_non_exhaustive()
    }
}

impl DataDir {
    /// The directory at `path`, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> DataDir {
        DataDir { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory, for its owner alone, if it is not there.
    pub fn prepare(&self) -> Result<(), LocateError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(&self.path);
        made.map_err(|source| LocateError::File { path: self.path.clone(), source })
    }

    /// Takes the right to serve from it; one process at a time has it, and a killed process loses it at once.
    pub fn serve(&self) -> Result<Serving, LocateError> {
        let path = self.path.join(LOCK_FILE);
        let refuse = |source| LocateError::File { path: path.clone(), source };
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PRIVATE_FILE)
            .open(&path)
            .map_err(refuse)?;
        match lock.try_lock() {
            Ok(()) => Ok(Serving { data_dir: self.clone(), published: false, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(LocateError::Taken { data_dir: self.path.clone(), server: self.read_server() })
            }
            Err(TryLockError::Error(source)) => Err(refuse(source)),
        }
    }

    /// The server that runs on it; `None` if none does. What a killed server left behind does not count.
    pub fn server(&self) -> Option<ServerInfo> {
        let lock = File::open(self.path.join(LOCK_FILE)).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => self.read_server(),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    fn read_server(&self) -> Option<ServerInfo> {
        let bytes = std::fs::read(self.path.join(SERVER_FILE)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The admin key: the one given, else the stored one, else a new one that is stored.
    pub fn admin_key(&self, given: Option<&str>) -> Result<AdminKey, LocateError> {
        if let Some(secret) = given {
            return Ok(AdminKey { secret: checked(secret)?, file: None });
        }
        if let Some(key) = self.stored_admin_key()? {
            return Ok(key);
        }
        let path = self.path.join(KEY_FILE);
        // Two random UUIDs: 244 bits from the system's generator.
        let secret = format!("vbt_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        write_private(&path, format!("{secret}\n").as_bytes())
            .map_err(|source| LocateError::File { path: path.clone(), source })?;
        Ok(AdminKey { secret, file: Some(path) })
    }

    /// The master key: the one given, else the one in `file` or, where none is named, in the data directory; there it is
    /// made if it is not there yet.
    pub fn master_key(&self, given: Option<&str>, file: Option<&Path>) -> Result<MasterKeyHome, LocateError> {
        if let Some(key) = self.stored_master_key(given, file)? {
            return Ok(key);
        }
        let path = file.map_or_else(|| self.path.join(MASTER_FILE), Path::to_owned);
        if file.is_some() {
            let (place, problem) = (path.display().to_string(), "there is no such file".to_owned());
            return Err(LocateError::BadMasterKey { place, problem });
        }
        Ok(MasterKeyHome { key: Arc::new(self.make_master_key(&path)?), file: Some(path) })
    }

    /// Makes a master key in this file, for its owner alone.
    pub fn make_master_key(&self, path: &Path) -> Result<MasterKey, LocateError> {
        let key = MasterKey::generate().map_err(|error| LocateError::BadMasterKey {
            place: path.display().to_string(),
            problem: error.to_string(),
        })?;
        let text = Zeroizing::new(format!("{}\n", *key.to_text()));
        let written = write_private(path, text.as_bytes());
        written.map_err(|source| LocateError::File { path: path.to_owned(), source })?;
        Ok(key)
    }

    /// The master key, if there is one. Nothing is made.
    pub fn stored_master_key(
        &self,
        given: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Option<MasterKeyHome>, LocateError> {
        let read = |text: &str, place: &dyn std::fmt::Display| {
            let key = text.parse::<MasterKey>();
            key.map(Arc::new)
                .map_err(|error| LocateError::BadMasterKey { place: place.to_string(), problem: error.to_string() })
        };
        if let Some(text) = given {
            return Ok(Some(MasterKeyHome { key: read(text, &MASTER_VARIABLE)?, file: None }));
        }
        let path = file.map_or_else(|| self.path.join(MASTER_FILE), Path::to_owned);
        let Some(text) = read_private(&path)? else { return Ok(None) };
        Ok(Some(MasterKeyHome { key: read(&text, &path.display())?, file: Some(path) }))
    }

    /// The stored admin key, if there is one. A file that others may read is closed to them.
    pub fn stored_admin_key(&self) -> Result<Option<AdminKey>, LocateError> {
        let path = self.path.join(KEY_FILE);
        let Some(text) = read_private(&path)? else { return Ok(None) };
        Ok(Some(AdminKey { secret: checked(text.trim())?, file: Some(path) }))
    }
}

impl Serving {
    /// Says where the server listens, for programs on the same machine.
    pub fn publish(&mut self, url: &str) -> Result<(), LocateError> {
        let path = self.data_dir.path.join(SERVER_FILE);
        let info = ServerInfo { url: url.to_owned(), pid: std::process::id() };
        let written = serde_json::to_vec(&info).map_err(io::Error::other).and_then(|text| write_private(&path, &text));
        written.map_err(|source| LocateError::File { path, source })?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.published {
            // Best effort: without the lock the file counts for nothing anyway.
            std::fs::remove_file(self.data_dir.path.join(SERVER_FILE)).ok();
        }
    }
}

fn checked(secret: &str) -> Result<String, LocateError> {
    let fits = (1..=256).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(secret.to_owned()) } else { Err(LocateError::BadKey) }
}

/// A file's text; none where there is no such file. One that others may read is closed to them.
fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, LocateError> {
    let refuse = |source| LocateError::File { path: path.to_owned(), source };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(error)),
    };
    let mode = std::fs::metadata(path).map_err(refuse)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(
            "{} could be read by others (mode {:o}); it is closed to them now",
            path.display(),
            mode & 0o777
        );
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(PRIVATE_FILE)).map_err(refuse)?;
    }
    Ok(Some(text))
}

/// Writes a whole file that only its owner reads, or nothing: a crash leaves no half of it.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(PRIVATE_FILE).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests;
