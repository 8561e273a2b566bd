//! Finds and reads the settings file, and finds lines in it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::layer::Layer;
use super::{ConfigError, DATA_DIR, Environment, FILE_NAME, Flags};

/// A settings file that was read and has the right shape.
pub(super) struct File {
    pub path: PathBuf,
    pub table: toml::Table,
    text: String,
}

/// The file named by a flag or variable, else the one in the working directory, else the one in the data directory.
pub(super) fn find(flags: &Flags, environment: &Environment) -> Result<Option<File>, ConfigError> {
    if let Some(path) = flags.config.clone().or_else(|| environment.get("VERBATIM_CONFIG").map(PathBuf::from)) {
        return File::read(path).map(Some);
    }
    let data_dir = flags.data_dir.clone().or_else(|| environment.get("VERBATIM_DATA_DIR").map(PathBuf::from));
    let usual = [PathBuf::from(FILE_NAME), data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR)).join(FILE_NAME)];
    usual.into_iter().find(|path| path.exists()).map(File::read).transpose()
}

impl File {
    pub(super) fn read(path: PathBuf) -> Result<File, ConfigError> {
        match std::fs::read_to_string(&path) {
            Ok(text) => File::parse(path, text),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    /// Checks the shape, so that a mistake is named with its line before anything is laid over it.
    pub(super) fn parse(path: PathBuf, text: String) -> Result<File, ConfigError> {
        let refuse = |span: Option<Range<usize>>, problem: String| ConfigError::File {
            path: path.clone(),
            line: line_at(&text, span.map_or(0, |span| span.start)),
            problem,
        };
        let table = match toml::from_str::<toml::Table>(&text) {
            Ok(table) => table,
            // The parser's own display quotes the line; a settings file may hold what no log should.
            Err(error) => return Err(refuse(error.span(), first_line(error.message()))),
        };
        if let Err(error) = toml::from_str::<Layer>(&text) {
            return Err(refuse(error.span(), first_line(error.message())));
        }
        Ok(File { path, table, text })
    }

    /// The line of a key, where the file has it; else that of the nearest level above it.
    pub(super) fn line_of(&self, key: &[&str]) -> Option<usize> {
        (1..=key.len())
            .rev()
            .find_map(|levels| span_of(&self.text, &key[..levels]))
            .map(|span| line_at(&self.text, span.start))
    }

    /// What a path in the file is relative to.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// Reads a table of the right shape; the message of what is wrong with it otherwise.
pub(super) fn shape(table: &toml::Table) -> Result<Layer, String> {
    Layer::deserialize(toml::Value::Table(table.clone())).map_err(|error| first_line(error.message()))
}

fn span_of(text: &str, key: &[&str]) -> Option<Range<usize>> {
    let parsed = DeTable::parse(text).ok()?;
    let mut table = parsed.get_ref();
    let mut span = None;
    for (level, name) in key.iter().enumerate() {
        let (found, value) = table.iter().find(|(found, _)| found.get_ref().as_ref() == *name)?;
        span = Some(found.span());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ if level + 1 < key.len() => return None,
            _ => {}
        }
    }
    span
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// A parser's message on one line, in words of the file's reader instead of the program's types.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let number =
        ["usize", "u64", "u32", "u8"].into_iter().find_map(|name| line.strip_suffix(&format!("expected {name}")));
    number.map_or_else(|| line.to_owned(), |start| format!("{start}expected a whole number"))
}
