//! Where each webhook stands: one small file for each, written beside its place, synced and renamed, so that it is whole or
//! the one before.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use verbatim_events::ids::{ChatId, Position};

/// Set-aside deliveries that are kept: the newest.
pub const SET_ASIDE_MAX: usize = 100;

/// How far a webhook has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The log that the position is one of.
    pub timeline: Uuid,
    /// Everything up to here was told, or set aside.
    pub position: Position,
    /// Since when nothing gets through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<DateTime<Utc>>,
    /// Why it stands still until somebody lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// How many deliveries were ever set aside.
    #[serde(default)]
    pub set_aside_count: u64,
    /// The newest of them.
    #[serde(default)]
    pub set_aside: Vec<SetAside>,
}

/// A delivery that its receiver refused again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAside {
    /// Its id.
    pub id: String,
    /// What it was.
    pub kind: String,
    /// The chat.
    pub chat_id: ChatId,
    /// When it was set aside.
    pub at: DateTime<Utc>,
    /// Why.
    pub problem: String,
}

impl Place {
    /// A webhook that has told everything up to a position.
    pub fn after(timeline: Uuid, position: Position) -> Place {
        Place { timeline, position, failing_since: None, stopped: None, set_aside_count: 0, set_aside: Vec::new() }
    }

    /// Sets a delivery aside.
    pub fn put_aside(&mut self, delivery: SetAside) {
        self.set_aside_count += 1;
        self.set_aside.push(delivery);
        let surplus = self.set_aside.len().saturating_sub(SET_ASIDE_MAX);
        self.set_aside.drain(..surplus);
    }
}

/// The files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places {
    folder: PathBuf,
    /// Held while a file is written: one that was cut off may still be on its way to the disk.
    writing: Arc<Mutex<()>>,
}

impl Places {
    /// The files of a folder, which need not be there yet.
    pub fn at(folder: PathBuf) -> Places {
        Places { folder, writing: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Where a webhook stands; none for one that is new.
    pub async fn load(&self, name: &str) -> io::Result<Option<Place>> {
        match tokio::fs::read(self.path(name)).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps where a webhook stands. Durable once this returns.
    pub async fn save(&self, name: &str, place: &Place) -> io::Result<()> {
        let bytes = serde_json::to_vec(place).map_err(io::Error::other)?;
        let (folder, path) = (self.folder.clone(), self.path(name));
        let writing = Arc::clone(&self.writing);
        let written = tokio::task::spawn_blocking(move || {
            let _alone = writing.lock();
            write(&folder, &path, &bytes)
        });
        written.await.map_err(io::Error::other)?
    }
}

fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_read_as_it_was_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let places = Places::at(directory.path().join("deeper"));
        assert_eq!(places.load("a").await.expect("no file"), None);
        let mut place = Place::after(Uuid::from_u128(7), 42);
        for number in 0..=SET_ASIDE_MAX {
            place.put_aside(SetAside {
                id: number.to_string(),
                kind: "turn_finished".to_owned(),
                chat_id: ChatId(Uuid::nil()),
                at: DateTime::UNIX_EPOCH,
                problem: "it answered 400".to_owned(),
            });
        }
        assert_eq!((place.set_aside_count, place.set_aside.len()), (SET_ASIDE_MAX as u64 + 1, SET_ASIDE_MAX));
        assert_eq!(place.set_aside[0].id, "1", "the oldest goes");
        for position in [1, 2] {
            place.position = position;
            places.save("a", &place).await.expect("it is kept");
            assert_eq!(places.load("a").await.expect("it is read"), Some(place.clone()));
        }
        assert_eq!(places.load("b").await.expect("no file"), None);
        std::fs::write(directory.path().join("deeper/a.json"), "{").expect("a broken file");
        assert!(places.load("a").await.is_err());
    }
}
