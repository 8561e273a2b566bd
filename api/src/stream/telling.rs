//! Long work whose reader is told how it goes: `progress` frames, heartbeats where nothing moves, and one frame at the end.

use std::convert::Infallible;
use std::future::Future;

use actix_web::HttpResponse;
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;
use verbatim_events::log::BoxFuture;

use super::session::Framing;
use super::{frames, streaming};
use crate::state::AppState;

/// Work under way.
struct Telling<P, R> {
    state: Data<AppState>,
    progress: watch::Receiver<P>,
    report: BoxFuture<'static, R>,
    told: fn(R) -> Bytes,
    over: bool,
}

/// Server-sent events about `work`, whose progress is shown as `shown` and whose end as `told`. They end early if the
/// server stops; the work is dropped with its reader, so what must go on beyond that is to run elsewhere.
pub fn tell<P, V, R>(
    state: Data<AppState>,
    progress: watch::Receiver<P>,
    work: impl Future<Output = R> + Send + 'static,
    shown: fn(&P) -> V,
    told: fn(R) -> Bytes,
) -> HttpResponse
where
    P: Send + Sync + 'static,
    V: Serialize + 'static,
    R: 'static,
{
    let telling = Telling { state, progress, report: Box::pin(work), told, over: false };
    let body = stream::unfold(telling, move |mut telling| async move {
        let bytes = telling.next(shown).await?;
        Some((Ok::<_, Infallible>(bytes), telling))
    });
    streaming(Framing::Events, body)
}

impl<P, R> Telling<P, R> {
    async fn next<V: Serialize>(&mut self, shown: fn(&P) -> V) -> Option<Bytes> {
        if self.over {
            return None;
        }
        tokio::select! {
            biased;
            () = self.state.stopping.cancelled() => None,
            report = &mut self.report => {
                self.over = true;
                Some((self.told)(report))
            }
            Ok(()) = self.progress.changed() => {
                let view = shown(&self.progress.borrow_and_update());
                Some(frames::sse("progress", None, &view))
            }
            () = self.state.clock.sleep_ms(self.state.limits.heartbeat_ms.max(1)) => {
                let view = shown(&self.progress.borrow());
                Some(frames::sse("heartbeat", None, &view))
            }
        }
    }
}
