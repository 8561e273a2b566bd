//! Logs: readable lines on standard error. Never a prompt, an answer or a key.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use crate::config::Environment;

/// What is logged without a filter. The frameworks' own words interest only who looks for a fault in them.
const QUIET: &str = "sqlx=warn,actix_server=warn,actix_web=warn,actix_http=warn,hyper=warn,reqwest=warn,rustls=warn";

/// Starts logging. `VERBATIM_LOG`, else `RUST_LOG`, holds a filter such as `debug` or `warn,verbatim_actors=trace`;
/// without one everything from `level` up is logged. Returns a sentence if the filter is wrong; it is then not used.
pub fn start(environment: &Environment, level: LevelFilter) -> Option<String> {
    let wanted = ["VERBATIM_LOG", "RUST_LOG"].into_iter().find_map(|name| Some((name, environment.get(name)?)));
    let (filter, problem) = match wanted.map(|(name, filter)| (name, EnvFilter::try_new(filter))) {
        Some((_, Ok(filter))) => (filter, None),
        Some((name, Err(error))) => (usual(level), Some(format!("{name} is no filter and is ignored: {error}"))),
        None => (usual(level), None),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && environment.get("NO_COLOR").is_none())
        .with_target(false)
        .finish();
    // Somebody who embeds the library may log in another way already; then that way it is.
    tracing::subscriber::set_global_default(lines).ok();
    problem
}

fn usual(level: LevelFilter) -> EnvFilter {
    if level > LevelFilter::WARN {
        EnvFilter::new(format!("{level},{QUIET}"))
    } else {
        EnvFilter::new(level.to_string())
    }
}
