//! Where the log lives.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where the log lives.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file of this machine.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by its URL. The URL may hold a password: it is never shown.
    Postgres(String),
}

impl Database {
    /// Reads `sqlite:PATH` or `postgres://…`; a relative path is relative to `folder`. The sentence of what is wrong
    /// otherwise; it does not repeat the text, which may hold a password.
    pub fn parse(text: &str, folder: &Path) -> Result<Database, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Database::Postgres(text.to_owned()));
        }
        let Some(path) = text.strip_prefix("sqlite:") else {
            return Err("a database is sqlite:PATH or postgres://USER@HOST/NAME".to_owned());
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path == ":memory:" || path.ends_with('/') {
            return Err("sqlite: must be followed by the path of a file".to_owned());
        }
        if path.contains('?') {
            return Err("sqlite: takes a path alone, no options".to_owned());
        }
        Ok(Database::Sqlite(folder.join(path)))
    }

    /// The URL, with the password if it has one: for the database alone.
    pub fn url(&self) -> String {
        match self {
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
            Database::Postgres(url) => url.clone(),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Database::Postgres(url) => formatter.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A URL with `***` in place of the password, and of everything after a `?` that looks like one.
pub(crate) fn without_password(url: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (url, None),
    };
    let mut shown = hide_password(address);
    if let Some(query) = query {
        let parameters: Vec<String> = query.split('&').map(hide_parameter).collect();
        shown.push('?');
        shown.push_str(&parameters.join("&"));
    }
    shown
}

/// The password stands between the user and the last `@` before the path; an unescaped `/` in it still hides it.
fn hide_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return address.to_owned() };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => address.to_owned(),
    }
}

fn hide_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=***"),
        Some(_) | None => parameter.to_owned(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "key", "token", "secret"].iter().any(|word| name.contains(word))
}
