//! What the server tells about itself: log lines for people, metrics for dashboards, traces for whoever looks for the slow
//! step. **Invariant:** never a prompt, an answer or a key.

pub mod catalogue;
#[cfg(feature = "otel")]
mod export;
pub mod metrics;
pub mod requests;
pub mod traceparent;
pub mod traces;

use std::io::IsTerminal as _;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::Environment;

/// What is logged without a filter. The frameworks' own words interest only who looks for a fault in them.
const QUIET: &str = "sqlx=warn,actix_server=warn,actix_web=warn,hyper=warn,reqwest=warn,rustls=warn";

/// Requests that are none are errors to the framework, a line each: whoever can reach the port could fill the disk.
const SILENT: &str = "actix_http=off";

/// Telemetry that was started. To be stopped at the very end: what was not sent by then is lost.
#[must_use]
pub struct Telemetry {
    /// What is odd but no error, a sentence each.
    pub warnings: Vec<String>,
    #[cfg(feature = "otel")]
    exporter: Option<export::Exporter>,
}

/// A library that logs whole messages of MCP servers, what was said in them included: no filter may ask for that.
const UNFIT: &str = "rmcp";

/// Starts logs, metrics and, if `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector, traces. To be called once, before any
/// runtime is started.
///
/// `VERBATIM_LOG`, else `RUST_LOG`, holds a filter of log lines such as `debug` or `warn,verbatim_actors=trace`; without one
/// everything from `level` up is logged.
pub fn start(environment: &Environment, level: LevelFilter) -> Telemetry {
    let mut warnings = Vec::new();
    let wanted = ["VERBATIM_LOG", "RUST_LOG"].into_iter().find_map(|name| Some((name, environment.get(name)?)));
    let filter = match wanted.map(|(name, filter)| (name, EnvFilter::try_new(filter))) {
        Some((_, Ok(filter))) => filter,
        Some((name, Err(error))) => {
            warnings.push(format!("{name} is no filter and is ignored: {error}"));
            usual(level)
        }
        None => usual(level),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && environment.get("NO_COLOR").is_none())
        .with_target(false)
        .with_filter(filter.and(filter_fn(|line| !line.target().starts_with(UNFIT))));
    let subscriber = tracing_subscriber::registry().with(lines);
    metrics::install();
    #[cfg(feature = "otel")]
    {
        let exporter = match export::Exporter::new(environment) {
            Ok(exporter) => exporter,
            Err(problem) => {
                warnings.push(format!("traces are not exported: {problem}"));
                None
            }
        };
        // Somebody who embeds the library may log in another way already; then that way it is.
        match &exporter {
            Some(exporter) => tracing::subscriber::set_global_default(subscriber.with(exporter.layer())).ok(),
            None => tracing::subscriber::set_global_default(subscriber).ok(),
        };
        Telemetry { warnings, exporter }
    }
    #[cfg(not(feature = "otel"))]
    {
        if environment.get("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
            warnings.push("traces are not exported: this program was built without the feature `otel`".to_owned());
        }
        tracing::subscriber::set_global_default(subscriber).ok();
        Telemetry { warnings }
    }
}

impl Telemetry {
    /// Sends what was not sent yet.
    pub fn stop(self) {
        #[cfg(feature = "otel")]
        if let Some(exporter) = self.exporter {
            exporter.stop();
        }
    }
}

fn usual(level: LevelFilter) -> EnvFilter {
    if level > LevelFilter::WARN {
        EnvFilter::new(format!("{level},{QUIET},{SILENT}"))
    } else {
        EnvFilter::new(format!("{level},{SILENT}"))
    }
}
