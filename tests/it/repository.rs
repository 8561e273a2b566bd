//! The repository's own rules. Every ban names what to use instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Lines a source file may have: a file is one thing.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository").to_path_buf()
}

/// All files of the repository, by path from its root; build output and hidden folders other than the tool files' left out.
fn files() -> BTreeMap<String, PathBuf> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<String, PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "verbatim-data", "node_modules"].contains(&name.as_str()) {
                    walk(&path, root, found);
                }
            } else {
                let relative = path.strip_prefix(root).expect("it lies under the root").to_string_lossy().into_owned();
                found.insert(relative, path);
            }
        }
    }
    let root = root();
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn sources() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|(name, _)| name.ends_with(".rs")).map(|(name, path)| (name, read(&path)))
}

fn is_test(name: &str) -> bool {
    name.starts_with("tests/") || name.ends_with("/tests.rs") || name.contains("/tests/")
}

fn none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is_and_is_one_thing() {
    let mut violations = Vec::new();
    for (name, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            violations.push(format!("{name} has {lines} lines; split it, {LINES_MAX} is the most"));
        }
        if !text.starts_with("//!") && !is_test(&name) {
            violations.push(format!("{name} does not begin with a //! line that says what it is"));
        }
    }
    none(violations);
}

/// The two halves of a pattern, what to do instead, and in which files it is banned.
type Ban = (&'static str, &'static str, &'static str, fn(&str) -> bool);

#[test]
fn nothing_banned_is_called() {
    // The first half of each pattern is split off so that this file does not find itself.
    let bans: [Ban; 13] = [
        ("to", "do!(", "finish it, or leave it out and say so", |_| true),
        ("unimpl", "emented!(", "finish it, or leave it out and say so", |_| true),
        ("db", "g!(", "use tracing", |_| true),
        ("unbounded", "_channel", "use a bounded channel and answer `busy`", |_| true),
        (".do", "_send(", "use `try_send` with a permit", |_| true),
        ("#[ign", "ore", "mend the test or delete it", |_| true),
        ("thread::sl", "eep(", "wait on the thing itself, or advance a clock", is_test),
        ("time::sl", "eep(", "wait on the thing itself, or advance a clock", is_test),
        ("Utc::n", "ow(", "time comes in as an argument", |name| name.starts_with("events/src/")),
        ("SystemTime::n", "ow(", "time comes in as an argument", |name| name.starts_with("events/src/")),
        ("asyn", "c fn", "the core does not wait; a port returns `BoxFuture`", |name| {
            name.starts_with("events/src/") && !is_test(name)
        }),
        ("any", "how::", "an error is an enum of the crate's own", |name| {
            ["events/", "actors/", "projections/"].iter().any(|folder| name.starts_with(folder))
        }),
        ("act", "ix::", "only the actors' crate names it; use `Handle`", |name| !name.starts_with("actors/src/")),
    ];
    let mut violations = Vec::new();
    for (name, text) in sources() {
        for (first, second, instead, applies) in &bans {
            if !applies(&name) {
                continue;
            }
            let pattern = format!("{first}{second}");
            for (index, line) in text.lines().enumerate() {
                let code = line.trim_start();
                if !code.starts_with("//") && code.contains(&pattern) {
                    violations.push(format!("{name}:{}: {pattern} is banned: {instead}", index + 1));
                }
            }
        }
    }
    none(violations);
}

#[test]
fn dependencies_run_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("verbatim-events", &[][..]),
        ("verbatim-events-sql", &["verbatim-events"]),
        ("verbatim-actors", &["verbatim-events"]),
        ("verbatim-llm", &["verbatim-events"]),
        ("verbatim-projections", &["verbatim-events"]),
        ("verbatim-tools", &["verbatim-events"]),
        (
            "verbatim",
            &[
                "verbatim-actors",
                "verbatim-events",
                "verbatim-events-sql",
                "verbatim-llm",
                "verbatim-projections",
                "verbatim-tools",
            ],
        ),
    ]);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let mut violations = Vec::new();
    for package in metadata["packages"].as_array().expect("there are packages") {
        let name = package["name"].as_str().unwrap_or_default();
        let normal = package["dependencies"].as_array().expect("there is a list").iter();
        let normal: Vec<&str> =
            normal.filter(|one| one["kind"].is_null()).filter_map(|one| one["name"].as_str()).collect();
        if let Some(allowed) = allowed.get(name) {
            for dependency in normal.iter().filter(|one| one.starts_with("verbatim") && !allowed.contains(one)) {
                violations.push(format!("{name} must not depend on {dependency}: dependencies run one way"));
            }
        } else if name != "tests" {
            violations.push(format!("{name} is not in this test's list: say what it may depend on"));
        }
        if name == "verbatim-events" {
            let pure = ["chrono", "serde", "serde_json", "sha2", "thiserror", "uuid"];
            for dependency in normal.iter().filter(|one| !pure.contains(one)) {
                violations.push(format!("the core must not depend on {dependency}: it does no I/O"));
            }
        }
    }
    none(violations);
}

#[test]
fn migrations_come_in_pairs() {
    let mut by_dialect: BTreeMap<(String, &str), BTreeSet<String>> = BTreeMap::new();
    for name in files().into_keys() {
        if let [folder, database, dialect, file] = name.split('/').collect::<Vec<_>>()[..]
            && folder == "migrations"
        {
            let dialect = if dialect == "sqlite" { "sqlite" } else { "postgres" };
            by_dialect.entry((database.to_owned(), dialect)).or_default().insert(file.to_owned());
        }
    }
    assert_eq!(by_dialect.len(), 6, "three databases, two dialects: {by_dialect:?}");
    for ((database, dialect), names) in &by_dialect {
        let other = if *dialect == "sqlite" { "postgres" } else { "sqlite" };
        assert_eq!(Some(names), by_dialect.get(&(database.clone(), other)), "{database} differs between the dialects");
    }
}

#[test]
fn the_map_names_only_what_exists() {
    let map = read(&root().join("ARCHITECTURE.md"));
    assert!(map.lines().count() > 50, "ARCHITECTURE.md is the map; it cannot be this short");
    let files = files();
    let all_sources: String = sources().map(|(_, text)| text).collect();
    let mut violations = Vec::new();
    let mut in_code = false;
    for line in map.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        for name in line.split('`').skip(1).step_by(2) {
            let is_path = name.contains('/') && !name.contains(' ') && !name.starts_with('/') && !name.contains("://");
            let is_type = name.chars().next().is_some_and(char::is_uppercase)
                && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':');
            if is_path {
                let path = name.trim_end_matches('/');
                // A folder may be named by its last part, where the sentence says inside which.
                let known = files.keys().any(|file| {
                    format!("/{file}").ends_with(&format!("/{path}"))
                        || format!("/{file}").contains(&format!("/{path}/"))
                });
                if !known {
                    violations.push(format!("ARCHITECTURE.md names {name}, which does not exist"));
                }
            } else if is_type {
                let last = name.rsplit("::").next().unwrap_or(name);
                if !all_sources.contains(last) {
                    violations.push(format!("ARCHITECTURE.md names {name}, which no source does"));
                }
            }
        }
    }
    none(violations);
}

#[test]
fn the_repository_speaks_of_itself_alone() {
    let banned = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("SPEC", ".md"),
        concat!("DESIGN", ".md"),
        concat!("REFERENCE", ".md"),
        concat!("STYLE", ".md"),
        concat!("shared", "/"),
        concat!("index.crates", ".io-"),
    ];
    let mut violations = Vec::new();
    for (name, path) in files() {
        if name == "Cargo.lock" || name.starts_with("LICENSE") {
            continue;
        }
        let text = read(&path);
        for (index, line) in text.lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                violations.push(format!("{name}:{}: names {word}, which is not part of this project", index + 1));
            }
        }
    }
    none(violations);
}

#[test]
fn every_test_file_is_compiled() {
    let main = read(&root().join("tests/it/main.rs"));
    for name in files().into_keys() {
        if let Some(module) = name.strip_prefix("tests/it/").and_then(|rest| rest.strip_suffix(".rs"))
            && !module.contains('/')
            && module != "main"
        {
            assert!(main.contains(&format!("mod {module};")), "tests/it/main.rs does not declare {module}");
        }
    }
}
