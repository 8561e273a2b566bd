//! Our side of a connection: what a server may tell us unasked. It may report progress and a changed list of tools;
//! whatever it asks of us is refused, since we told it that we can do nothing.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rmcp::ClientHandler;
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation, ProgressNotificationParam, ProgressToken};
use rmcp::service::{NotificationContext, RoleClient};
use tokio::sync::Notify;
use verbatim_events::tool::OutputSink;

use super::words;

/// The longest report of progress that is shown, in bytes.
const REPORT_MAX_BYTES: usize = 1024;
/// All reports of one call together, in bytes.
const REPORTS_MAX_BYTES: usize = 64 * 1024;

/// Where a call's progress goes.
pub(super) struct Progress {
    sink: Mutex<(OutputSink, usize)>,
}

impl Progress {
    pub(super) fn new(sink: OutputSink) -> Arc<Progress> {
        Arc::new(Progress { sink: Mutex::new((sink, 0)) })
    }

    fn report(&self, line: String) {
        let (sink, shown) = &mut *self.sink.lock();
        *shown += line.len();
        if *shown <= REPORTS_MAX_BYTES {
            sink(line);
        }
    }
}

/// What a connection's two sides share.
#[derive(Default)]
pub(super) struct Shared {
    /// The calls that wait, by the token that their progress carries. Held while a call is sent, so that a report never
    /// finds its call unknown; a call that is over is gone by itself.
    pub calls: tokio::sync::Mutex<HashMap<ProgressToken, Weak<Progress>>>,
    /// The server's list of tools is another one.
    pub changed: Notify,
}

/// Takes what the server says unasked.
pub(super) struct Client(pub Arc<Shared>);

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("verbatim", env!("CARGO_PKG_VERSION")))
    }

    async fn on_progress(&self, report: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let call = self.0.calls.lock().await.get(&report.progress_token).and_then(Weak::upgrade);
        if let Some(call) = call {
            call.report(told(&report));
        }
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.changed.notify_one();
    }
}

/// A report as one line: `3/10: copying`.
fn told(report: &ProgressNotificationParam) -> String {
    let total = report.total.map(|total| format!("/{total}")).unwrap_or_default();
    let message = report.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    format!("{}\n", words::line(&format!("{}{total}{message}", report.progress), REPORT_MAX_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_line_and_has_an_end() {
        let seen = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&seen);
        let progress = Progress::new(Box::new(move |line| into.lock().push_str(&line)));
        let report = |message: &str| {
            let fields = serde_json::json!({ "progressToken": 1, "progress": 3, "total": 10, "message": message });
            told(&serde_json::from_value(fields).expect("it is a report"))
        };
        progress.report(report("copy\ning"));
        assert_eq!(*seen.lock(), "3/10: copy ing\n");
        for _ in 0..200 {
            progress.report(report(&"x".repeat(5_000)));
        }
        assert!(seen.lock().len() <= REPORTS_MAX_BYTES);
    }
}
