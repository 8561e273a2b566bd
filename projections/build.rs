//! Digests the sources that decide what stands in a row, so that rows made by other code are noticed. A changed comment
//! costs an unneeded rebuild; a forgotten version number would cost wrong rows.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Relative to this crate: the tables, the projections, and the core, whose events and fold they show.
const SOURCES: [&str; 4] = ["../migrations/read", "src/batch.rs", "src/models", REDUCER];
/// What decides a chat's state, and so what stands in a snapshot.
const REDUCER: &str = "../events/src";

fn main() -> io::Result<()> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rustc-env=VERBATIM_READ_FINGERPRINT={:016x}", digest(&SOURCES)?);
    println!("cargo::rustc-env=VERBATIM_REDUCER_FINGERPRINT={:016x}", digest(&[REDUCER])?);
    Ok(())
}

/// One number for all files of `sources` that are no tests.
fn digest(sources: &[&str]) -> io::Result<u64> {
    let crate_directory = env::var("CARGO_MANIFEST_DIR").map(PathBuf::from).map_err(io::Error::other)?;
    let mut files = Vec::new();
    for source in sources {
        collect(&crate_directory.join(source), &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        let text = fs::read(&file)?;
        hasher.write_usize(text.len());
        hasher.write(&text);
    }
    Ok(hasher.finish())
}

/// All files under `path` that are no tests.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.file_stem().is_some_and(|name| name == "tests") {
        return Ok(());
    }
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}
