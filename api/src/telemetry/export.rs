//! Traces to an OpenTelemetry collector over OTLP (protobuf in HTTP), as the `OTEL_*` variables of the standard say:
//! `OTEL_EXPORTER_OTLP_ENDPOINT` names the collector; headers, sampling, service name and batches have theirs.
//!
//! A thread of its own sends batches. What a collector does not take in time is dropped: nothing waits for it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::traceparent::TraceParent;
use crate::config::Environment;

/// Where traces go; the standard's names, the more special one first.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// The beginning of the names of our own crates, whose spans are exported.
const OWN: &str = "verbatim";
/// How long a collector may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a collector may take to take a batch.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the program waits for the last batch.
const LAST_BATCH_TIMEOUT: Duration = Duration::from_millis(450);

/// Traces are exported.
static ON: AtomicBool = AtomicBool::new(false);

/// Whether traces are exported.
pub(super) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// The exporter.
pub(super) struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// An exporter to the collector of the environment; none if it names none. Must not be made within a runtime.
    pub(super) fn new(environment: &Environment) -> Result<Option<Exporter>, String> {
        let switched_off = environment.get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || environment.get("OTEL_TRACES_EXPORTER") == Some("none");
        let Some(endpoint) = ENDPOINTS.into_iter().find_map(|name| environment.get(name)).filter(|_| !switched_off)
        else {
            return Ok(None);
        };
        verbatim_llm::install_crypto();
        let client = reqwest::blocking::Client::builder()
            .user_agent(concat!("verbatim/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(SEND_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        // Without TLS no root certificates are needed, so that a bare container can use a collector beside it.
        let client = if endpoint.starts_with("https:") { client } else { client.tls_certs_only([]) };
        let client = client.build().map_err(|_| "this machine has no root certificates".to_owned())?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|error| error.to_string())?;
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let named = environment.get("OTEL_SERVICE_NAME").is_some()
            || environment.get("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|text| text.contains("service.name="));
        if !named {
            resource = resource.with_service_name("verbatim");
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(Candid { exporter, failing: AtomicBool::new(false) })
            .build();
        ON.store(true, Ordering::Relaxed);
        Ok(Some(Exporter { provider }))
    }

    /// The layer that makes traces of our own spans, whatever is logged; of log lines it takes warnings and worse.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let own = filter_fn(|metadata| {
            metadata.target().starts_with(OWN)
                && if metadata.is_span() { *metadata.level() <= Level::DEBUG } else { *metadata.level() <= Level::WARN }
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("verbatim"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(own.with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends what was not sent yet, if the collector takes it soon.
    pub(super) fn stop(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_BATCH_TIMEOUT) {
            tracing::debug!(%error, "The last traces were not delivered.");
        }
    }
}

/// The id of the trace that a span belongs to, where traces are exported.
pub(super) fn trace_id(span: &Span) -> Option<String> {
    if !is_on() {
        return None;
    }
    let context = span.context();
    let span_context = context.span().span_context().clone();
    span_context.is_valid().then(|| span_context.trace_id().to_string())
}

/// Gives a span another name.
pub(super) fn name(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Places a span below a step of somebody else's trace.
pub(super) fn place(span: &Span, parent: &TraceParent) {
    let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let remote = SpanContext::new(
        TraceId::from(parent.trace_id),
        SpanId::from(parent.span_id),
        flags,
        true,
        TraceState::default(),
    );
    // Refused only where nobody records the span.
    span.set_parent(Context::new().with_remote_span_context(remote)).ok();
}

/// An exporter that says, once each, when the collector stops to take traces and when it takes them again.
#[derive(Debug)]
struct Candid<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Candid<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len();
        let sent = self.exporter.export(batch);
        async move {
            let result = sent.await;
            match &result {
                Ok(()) => {
                    if self.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("The trace collector takes traces again.");
                    }
                }
                Err(error) => {
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!("The trace collector does not take traces; they are dropped until it does.");
                    }
                    tracing::debug!(%error, spans, "Traces were dropped.");
                }
            }
            result
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
