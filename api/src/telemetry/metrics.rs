//! Metrics: one recorder for the whole program, rendered for Prometheus on request.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Gauge, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::catalogue::{Kind, METRICS, Metric};
use crate::state::AppState;

/// The media type of what `render` gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often values that were recorded are sorted into their buckets; until then each takes a few bytes.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Makes the program count. More than once does no harm; to be called before anything is opened or started, since what is
/// opened before counts for nobody. In a program that brings a recorder of its own, that one counts.
pub fn install() {
    RECORDER.get_or_init(|| {
        let bounded = METRICS.iter().try_fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
            Kind::Histogram(bounds) => builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds),
            Kind::Counter | Kind::Gauge => Ok(builder),
        });
        // Only an empty list of bounds is refused, and there is none.
        let recorder = bounded.unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_ok() {
            METRICS.iter().for_each(describe);
            gauge!("verbatim_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        }
        handle
    });
}

fn describe(metric: &Metric) {
    let Metric { name, kind, unit, help, .. } = *metric;
    match kind {
        Kind::Counter => describe_counter!(name, unit, help),
        Kind::Gauge => describe_gauge!(name, unit, help),
        Kind::Histogram(_) => describe_histogram!(name, unit, help),
    }
}

/// Keeps what is recorded small. Never ends by itself.
pub async fn upkeep() {
    let mut moments = tokio::time::interval(UPKEEP);
    loop {
        moments.tick().await;
        if let Some(recorder) = RECORDER.get() {
            recorder.run_upkeep();
        }
    }
}

/// All figures as Prometheus reads them.
pub fn render(state: &AppState) -> String {
    let stats = state.handle.stats();
    gauge!("verbatim_chats_in_memory").set(stats.chats_in_memory as f64);
    gauge!("verbatim_commands_under_way").set(stats.commands_under_way as f64);
    let lag = state.reads.lag(state.clock.now());
    gauge!("verbatim_projection_lag_events").set(lag.events as f64);
    gauge!("verbatim_projection_lag_seconds").set(lag.age_ms as f64 / 1000.0);
    gauge!("verbatim_webhooks_failing").set(state.webhooks.failing() as f64);
    gauge!("verbatim_log_position").set(state.log.known_head() as f64);
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// An open stream's share in the gauge of watchers.
pub struct Watching(Gauge);

impl Watching {
    /// A stream begins. `stream` says what it shows: `chat`, `chats` …
    pub fn begin(stream: &'static str) -> Watching {
        let watchers = gauge!("verbatim_watchers", "stream" => stream);
        watchers.increment(1);
        Watching(watchers)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests;
