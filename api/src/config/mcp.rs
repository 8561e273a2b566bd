//! `[mcp.NAME]`: the MCP servers that chats may name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use verbatim_tools::mcp::{CALL_MS, CONNECT_MS, McpConfig, McpTransport, SKIP_MS, concealed};

use super::Environment;
use super::database::without_password;

/// `[mcp.NAME]` in the file: a program (`command`) or an address (`url`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct McpLayer {
    command: Option<String>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: Option<PathBuf>,
    url: Option<String>,
    headers: BTreeMap<String, String>,
    allow: Vec<String>,
    deny: Vec<String>,
    connect_ms: Option<u64>,
    call_ms: Option<u64>,
    skip_ms: Option<u64>,
}

/// A server's name, the key that is wrong, and what is wrong with it.
type Refusal = (String, &'static str, String);

/// The servers as configured. Relative paths are relative to `folder`.
pub(super) fn settle(
    layers: &BTreeMap<String, McpLayer>,
    folder: &Path,
) -> Result<BTreeMap<String, McpConfig>, Refusal> {
    let settle = |(name, layer): (&String, &McpLayer)| {
        let refuse = |(key, problem)| (name.clone(), key, problem);
        let server = server(layer, folder).map_err(refuse)?;
        server.check(name).map_err(|wrong| refuse((wrong.key, wrong.problem)))?;
        Ok((name.clone(), server))
    };
    layers.iter().map(settle).collect()
}

fn server(layer: &McpLayer, folder: &Path) -> Result<McpConfig, (&'static str, String)> {
    let wrong = |key: &'static str, problem: &str| Err((key, problem.to_owned()));
    let transport = match (&layer.command, &layer.url) {
        (Some(_), Some(_)) => return wrong("url", "an MCP server has a command or a url, not both"),
        (None, None) => return wrong("command", "the MCP server has neither a command nor a url"),
        (Some(_), None) if !layer.headers.is_empty() => return wrong("headers", "headers belong to a url"),
        (None, Some(_)) if !layer.args.is_empty() => return wrong("args", "arguments belong to a command"),
        (None, Some(_)) if !layer.env.is_empty() => return wrong("env", "variables belong to a command"),
        (None, Some(_)) if layer.cwd.is_some() => return wrong("cwd", "a directory belongs to a command"),
        (Some(command), None) => McpTransport::Stdio {
            command: program(command, folder),
            args: layer.args.clone(),
            env: layer.env.clone(),
            cwd: layer.cwd.as_ref().map(|cwd| absolute(&folder.join(cwd))),
        },
        (None, Some(url)) => McpTransport::Http { url: url.clone(), headers: layer.headers.clone() },
    };
    Ok(McpConfig {
        transport,
        allow: layer.allow.clone(),
        deny: layer.deny.clone(),
        connect_ms: layer.connect_ms.unwrap_or(CONNECT_MS),
        call_ms: layer.call_ms.unwrap_or(CALL_MS),
        skip_ms: layer.skip_ms.unwrap_or(SKIP_MS),
    })
}

/// A program by its path, or by a name that is looked for when it is started.
fn program(command: &str, folder: &Path) -> String {
    if command.contains('/') {
        absolute(&folder.join(command)).to_string_lossy().into_owned()
    } else {
        command.to_owned()
    }
}

/// A program runs in a directory of its own, where a relative path would mean something else.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A sentence for each variable that a server needs and that is not set.
pub(super) fn unset_variables(servers: &BTreeMap<String, McpConfig>, environment: &Environment) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, server) in servers {
        for variable in server.variables().into_iter().filter(|variable| environment.get(variable).is_none()) {
            warnings.push(format!("the MCP server {name} cannot be reached: the variable {variable} is not set"));
        }
    }
    warnings
}

/// A server as it is shown: values that name no variable could be secrets and are `***`.
#[derive(Serialize)]
pub(super) struct McpView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    args: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allow: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    deny: &'a [String],
    connect_ms: u64,
    call_ms: u64,
    skip_ms: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
}

impl<'a> McpView<'a> {
    pub(super) fn new(server: &'a McpConfig) -> McpView<'a> {
        let hidden = |values: &'a BTreeMap<String, String>| {
            values.iter().map(|(name, value)| (name.as_str(), concealed(value))).collect()
        };
        let view = McpView {
            command: None,
            args: &[],
            cwd: None,
            url: None,
            allow: &server.allow,
            deny: &server.deny,
            connect_ms: server.connect_ms,
            call_ms: server.call_ms,
            skip_ms: server.skip_ms,
            env: BTreeMap::new(),
            headers: BTreeMap::new(),
        };
        match &server.transport {
            McpTransport::Stdio { command, args, env, cwd } => McpView {
                command: Some(command),
                args,
                cwd: cwd.as_ref().map(|cwd| cwd.display().to_string()),
                env: hidden(env),
                ..view
            },
            McpTransport::Http { url, headers } => {
                McpView { url: Some(address(url)), headers: hidden(headers), ..view }
            }
        }
    }
}

/// An address without what could be a secret: a password, or the value of a parameter.
pub(super) fn address(url: &str) -> String {
    let Some((address, query)) = url.split_once('?') else { return without_password(url) };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) => format!("{name}={}", concealed(value)),
        None => concealed(parameter).to_owned(),
    };
    let query: Vec<String> = query.split('&').map(parameter).collect();
    format!("{}?{}", without_password(address), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("https://h/mcp", "https://h/mcp"),
            ("https://u:p@h/mcp?key=abc&to=${TO}&x", "https://u:***@h/mcp?key=***&to=${TO}&***"),
        ] {
            assert_eq!(address(url), shown);
        }
    }
}
