mod changing;
mod editing;
mod paths;
mod reading;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;

/// A workspace beside a secret that is not in it.
struct Space {
    home: tempfile::TempDir,
}

impl Space {
    fn new() -> Space {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("root")).unwrap();
        std::fs::write(home.path().join("secret"), "secret").unwrap();
        std::fs::create_dir(home.path().join("outside")).unwrap();
        std::fs::write(home.path().join("outside/a"), "secret").unwrap();
        Space { home }
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    fn changes(&self) -> PathBuf {
        self.home.path().join("changes")
    }

    fn files(&self) -> LocalFiles {
        LocalFiles::new(self.root(), self.changes())
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn get(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.root().join(path)).ok()
    }

    fn link(&self, path: &str, target: impl AsRef<Path>) {
        std::os::unix::fs::symlink(target, self.root().join(path)).unwrap();
    }
}

fn change(key: &str, files: &[(&str, Option<&str>, &str)]) -> Change {
    let files = files
        .iter()
        .map(|(path, before, after)| NewContent {
            path: (*path).to_owned(),
            before: before.map(|before| before.as_bytes().to_vec()),
            after: after.as_bytes().to_vec(),
        })
        .collect();
    Change { key: key.to_owned(), files, answer: json!({"made": key}) }
}
