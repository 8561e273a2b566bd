//! How a server is configured, and what a value that names a variable becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::names;

/// How long a connection may take to come about, its list of tools included, in ms.
pub const CONNECT_MS: u64 = 10_000;
/// How long a call may take, in ms.
pub const CALL_MS: u64 = 60_000;
/// How long a server that failed is left alone, in ms.
pub const SKIP_MS: u64 = 30_000;

/// A server as the administrator configured it. `${NAME}` in a URL, a header or a variable stands for the environment
/// variable NAME of our own process, so that secrets need not stand here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpConfig {
    /// How it is reached.
    pub transport: McpTransport,
    /// Its tools that may be used, as it names them; `*` at the end stands for any rest. Empty: all.
    pub allow: Vec<String>,
    /// Its tools that may not be used; wins over `allow`.
    pub deny: Vec<String>,
    /// How long a connection may take, in ms.
    pub connect_ms: u64,
    /// How long a call may take, in ms.
    pub call_ms: u64,
    /// How long it is left alone after it failed, in ms.
    pub skip_ms: u64,
}

/// How a server is reached. Printing it for a fault's sake shows no value that could be a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum McpTransport {
    /// A program of ours that speaks over its standard input and output.
    Stdio {
        /// The program: a path, or a name to be found on the `PATH`.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables it gets beside the inherited ones.
        env: BTreeMap<String, String>,
        /// Where it runs; our own working directory where absent.
        cwd: Option<PathBuf>,
    },
    /// A server elsewhere, over streamable HTTP.
    Http {
        /// Its address.
        url: String,
        /// Headers of every request.
        headers: BTreeMap<String, String>,
    },
}

impl fmt::Debug for McpTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |values: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            values.iter().map(|(name, value)| (name.clone(), concealed(value).to_owned())).collect()
        };
        match self {
            McpTransport::Stdio { command, args, env, cwd } => formatter
                .debug_struct("Stdio")
                .field("command", command)
                .field("args", &args.len())
                .field("env", &hidden(env))
                .field("cwd", cwd)
                .finish(),
            McpTransport::Http { headers, .. } => {
                formatter.debug_struct("Http").field("headers", &hidden(headers)).finish_non_exhaustive()
            }
        }
    }
}

/// A value as it may be shown: itself where it names a variable in the place of its secret, `***` otherwise.
pub fn concealed(value: &str) -> &str {
    if variables(value).next().is_some() { value } else { "***" }
}

/// What is wrong with a server's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigProblem {
    /// The setting; empty for the server's name.
    pub key: &'static str,
    /// What is wrong with it, in words.
    pub problem: String,
}

/// A variable that a value names and that is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable {0} is not set")]
pub(super) struct MissingVariable(pub(super) String);

impl McpConfig {
    /// A server with the usual limits and all of its tools.
    pub fn new(transport: McpTransport) -> McpConfig {
        McpConfig {
            transport,
            allow: Vec::new(),
            deny: Vec::new(),
            connect_ms: CONNECT_MS,
            call_ms: CALL_MS,
            skip_ms: SKIP_MS,
        }
    }

    /// Whether a server of this name can be configured like this. Opens nothing.
    pub fn check(&self, name: &str) -> Result<(), ConfigProblem> {
        let wrong = |key: &'static str, problem: &str| Err(ConfigProblem { key, problem: problem.to_owned() });
        if let Some(problem) = names::server_problem(name) {
            return wrong("", problem);
        }
        if self.connect_ms == 0 {
            return wrong("connect_ms", "it must be at least 1");
        }
        if self.call_ms == 0 {
            return wrong("call_ms", "it must be at least 1");
        }
        match &self.transport {
            McpTransport::Stdio { command, env, .. } => {
                if command.is_empty() || command.contains('\0') {
                    return wrong("command", "it names no program");
                }
                let is_variable = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
                if !env.keys().all(is_variable) {
                    return wrong("env", "a variable's name is not empty and has no =");
                }
            }
            McpTransport::Http { url, headers } => {
                let known = |variable: &str| Some(variable.to_owned());
                let address = expand(url, &known).ok().and_then(|url| Url::parse(&url).ok());
                if address.is_none_or(|url| !matches!(url.scheme(), "http" | "https")) {
                    return wrong("url", "it is an absolute http or https URL");
                }
                for (header, value) in headers {
                    if HeaderName::from_bytes(header.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
                        return wrong("headers", "a header's name or value has forbidden characters");
                    }
                }
            }
        }
        Ok(())
    }

    /// The variables of our own process that its settings name.
    pub fn variables(&self) -> BTreeSet<&str> {
        match &self.transport {
            McpTransport::Stdio { env, .. } => env.values().flat_map(|value| variables(value)).collect(),
            McpTransport::Http { url, headers } => {
                headers.values().chain([url]).flat_map(|value| variables(value)).collect()
            }
        }
    }

    /// Whether a tool may be used, by the server's own name for it.
    pub(super) fn admits(&self, tool: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|pattern| matches(pattern, tool));
        !listed(&self.deny) && (self.allow.is_empty() || listed(&self.allow))
    }
}

fn matches(pattern: &str, tool: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => tool.starts_with(start),
        None => tool == pattern,
    }
}

/// Puts variables in the place of their names: `Bearer ${TOKEN}`. Whatever else a `$` stands before is left alone.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, MissingVariable> {
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Variable(name) => {
                expanded.push_str(&lookup(name).ok_or_else(|| MissingVariable(name.to_owned()))?);
            }
        }
    }
    Ok(expanded)
}

/// The variables that a value names.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Variable(name) => Some(name),
        Piece::Text(_) => None,
    })
}

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let named = rest.strip_prefix("${").and_then(|from| from.split_once('}')).filter(|(name, _)| is_name(name));
        if let Some((name, after)) = named {
            rest = after;
            return Some(Piece::Variable(name));
        }
        // What begins like a name and is none is text up to the next that may be one.
        let skipped = rest.len().min(if rest.starts_with("${") { 2 } else { 0 });
        let end = rest[skipped..].find("${").map_or(rest.len(), |start| start + skipped);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(piece))
    })
}

fn is_name(name: &str) -> bool {
    let first = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    name.chars().enumerate().all(|(index, letter)| first(letter) || (index > 0 && letter.is_ascii_digit()))
        && !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "secret".to_owned())
    }

    #[test]
    fn variables_stand_for_their_values_and_a_missing_one_is_named() {
        for (text, expanded) in [
            ("Bearer ${TOKEN}", "Bearer secret"),
            ("${TOKEN}${TOKEN}", "secretsecret"),
            ("$TOKEN ${} ${1X} ${TOKEN", "$TOKEN ${} ${1X} ${TOKEN"),
            ("", ""),
        ] {
            assert_eq!(expand(text, &lookup).as_deref(), Ok(expanded), "{text}");
        }
        assert_eq!(expand("a ${OTHER} b", &lookup), Err(MissingVariable("OTHER".to_owned())));
    }

    #[test]
    fn what_could_be_a_secret_is_not_shown() {
        let config = McpConfig::new(McpTransport::Http {
            url: "https://host/?key=${KEY}".to_owned(),
            headers: BTreeMap::from([
                ("authorization".to_owned(), "Bearer ${TOKEN}".to_owned()),
                ("x-key".to_owned(), "hunter2".to_owned()),
            ]),
        });
        let shown = format!("{config:?}");
        assert!(shown.contains("${TOKEN}") && shown.contains("***") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(config.variables(), BTreeSet::from(["KEY", "TOKEN"]));
    }

    #[test]
    fn lists_name_tools_by_their_whole_name_or_its_start() {
        let config = |allow: &[&str], deny: &[&str]| McpConfig {
            allow: allow.iter().map(|name| (*name).to_owned()).collect(),
            deny: deny.iter().map(|name| (*name).to_owned()).collect(),
            ..McpConfig::new(McpTransport::Http { url: "http://x".to_owned(), headers: BTreeMap::new() })
        };
        for (allow, deny, tool, admitted) in [
            (&[][..], &[][..], "read", true),
            (&["read"], &[], "read", true),
            (&["read"], &[], "read_all", false),
            (&["read*"], &[], "read_all", true),
            (&[], &["write*"], "write_file", false),
            (&["*"], &["write"], "write", false),
            (&["write"], &["*"], "write", false),
        ] {
            assert_eq!(config(allow, deny).admits(tool), admitted, "{allow:?} {deny:?} {tool}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_setting() {
        let http = |url: &str, header: (&str, &str)| {
            let headers = BTreeMap::from([(header.0.to_owned(), header.1.to_owned())]);
            McpConfig::new(McpTransport::Http { url: url.to_owned(), headers })
        };
        let stdio = |command: &str, variable: &str| {
            McpConfig::new(McpTransport::Stdio {
                command: command.to_owned(),
                args: Vec::new(),
                env: BTreeMap::from([(variable.to_owned(), "1".to_owned())]),
                cwd: None,
            })
        };
        let fine = ("authorization", "Bearer ${TOKEN}");
        for (name, config, key) in [
            ("files", http("https://${HOST}/mcp?key=${KEY}", fine), None),
            ("files", stdio("mcp-files", "A"), None),
            ("files", http("ftp://x", fine), Some("url")),
            ("files", http("/mcp", fine), Some("url")),
            ("files", http("http://x", ("a b", "c")), Some("headers")),
            ("files", http("http://x", ("a", "c\nd")), Some("headers")),
            ("files", stdio("", "A"), Some("command")),
            ("files", stdio("x", "A=B"), Some("env")),
            ("a__b", stdio("x", "A"), Some("")),
            ("files", McpConfig { connect_ms: 0, ..stdio("x", "A") }, Some("connect_ms")),
            ("files", McpConfig { call_ms: 0, ..stdio("x", "A") }, Some("call_ms")),
        ] {
            assert_eq!(config.check(name).err().map(|problem| problem.key), key, "{name} {config:?}");
        }
    }
}
