//! Copies a template's directory, and fills the parameters in.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::path::Path;

use serde_json::Value;

use super::super::template::{DESCRIPTION_FILE, TemplateConfig, as_text};

/// Files and directories that a template may have.
const ENTRIES_MAX: usize = 20_000;
/// Bytes that a template may have.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Directories in each other that a template may have.
const DEPTH_MAX: usize = 64;
/// A file whose name ends so is text with `{{parameter}}` in it; its copy's name does not end so.
const FILLED_IN: &str = ".template";
/// The largest text that is filled in, in bytes.
const FILLED_IN_MAX_BYTES: u64 = 4 * 1024 * 1024;

struct Copy<'a> {
    parameters: &'a BTreeMap<String, Value>,
    entries: usize,
    bytes: u64,
}

/// Makes `home/files` out of a template. It appears at once and whole.
pub(super) fn template(template: &TemplateConfig, parameters: &BTreeMap<String, Value>, home: &Path) -> Result<()> {
    let Some(from) = template.path.as_deref().filter(|path| path.is_dir()) else {
        return Err(Error::other("the template's directory is not there"));
    };
    let making = home.join("making");
    match std::fs::remove_dir_all(&making) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut copy = Copy { parameters, entries: 0, bytes: 0 };
    let copied = copy.directory(from, &making, 0);
    if let Err(error) = copied {
        let _ = std::fs::remove_dir_all(&making);
        return Err(error);
    }
    rustix::fs::syncfs(std::fs::File::open(&making)?)?;
    std::fs::rename(&making, home.join("files"))?;
    std::fs::File::open(home)?.sync_all()
}

impl Copy<'_> {
    fn directory(&mut self, from: &Path, to: &Path, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(Error::other(format!("the template has more than {DEPTH_MAX} directories in each other")));
        }
        std::fs::create_dir(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if depth == 0 && name == DESCRIPTION_FILE {
                continue;
            }
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(Error::other(format!("the template has more than {ENTRIES_MAX} files")));
            }
            let (source, target) = (entry.path(), to.join(&name));
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.directory(&source, &target, depth + 1)?;
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(&source)?, &target)?;
            } else if kind.is_file() {
                self.file(&source, to, &name.to_string_lossy(), &target)?;
            }
        }
        std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())
    }

    fn file(&mut self, source: &Path, to: &Path, name: &str, target: &Path) -> Result<()> {
        let size_bytes = std::fs::metadata(source)?.len();
        self.bytes += size_bytes;
        if self.bytes > BYTES_MAX {
            return Err(Error::other(format!("the template has more than {BYTES_MAX} bytes")));
        }
        match name.strip_suffix(FILLED_IN) {
            Some(name) if !name.is_empty() && size_bytes <= FILLED_IN_MAX_BYTES => {
                let target = to.join(name);
                std::fs::write(&target, fill_in(&std::fs::read_to_string(source)?, self.parameters))?;
                std::fs::set_permissions(&target, std::fs::metadata(source)?.permissions())
            }
            Some(_) | None => std::fs::copy(source, target).map(drop),
        }
    }
}

/// Puts parameters where `{{name}}` stands. A value is never looked through again; what names no parameter stays.
pub(super) fn fill_in(text: &str, parameters: &BTreeMap<String, Value>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let known = after.split_once("}}").and_then(|(name, after)| Some((parameters.get(name.trim())?, after)));
        match known {
            Some((value, after)) => {
                filled.push_str(&as_text(value));
                rest = after;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}
