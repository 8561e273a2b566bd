//! Faults in a log's writer, told by a test: the next time it comes to a point it fails there, or waits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use verbatim_events::log::BoxFuture;
use verbatim_events_sql::{FaultPoint, Faults, LogOptions};

/// The longest a test waits for the writer to come to a point.
const PATIENCE: Duration = Duration::from_secs(30);

enum Plan {
    Fail(String),
    Hold { reached: oneshot::Sender<()>, release: oneshot::Receiver<()> },
}

/// What is to happen at each point, one plan per visit; without a plan the writer goes on.
#[derive(Default)]
pub struct ScriptedFaults {
    plans: Mutex<HashMap<FaultPoint, VecDeque<Plan>>>,
}

/// A writer that is going to wait at a point.
pub struct Held {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

/// A writer that waits until this is dropped.
pub struct Gate {
    _release: oneshot::Sender<()>,
}

impl ScriptedFaults {
    /// No faults yet.
    pub fn new() -> Arc<ScriptedFaults> {
        Arc::default()
    }

    /// Settings of a log with these faults.
    pub fn options(self: &Arc<Self>) -> LogOptions {
        LogOptions { faults: Some(self.clone()), ..LogOptions::default() }
    }

    /// The next visit of `point` fails.
    pub fn fail_next(&self, point: FaultPoint) {
        self.plans().entry(point).or_default().push_back(Plan::Fail(format!("a test wanted a fault {point:?}")));
    }

    /// The next visit of `point` waits.
    pub fn hold_next(&self, point: FaultPoint) -> Held {
        let ((reached_sender, reached), (release, release_receiver)) = (oneshot::channel(), oneshot::channel());
        let plan = Plan::Hold { reached: reached_sender, release: release_receiver };
        self.plans().entry(point).or_default().push_back(plan);
        Held { reached, release }
    }

    fn plans(&self) -> MutexGuard<'_, HashMap<FaultPoint, VecDeque<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Returns when the writer is there; it goes on when the gate is dropped.
    pub async fn reached(self) -> Gate {
        let reached = tokio::time::timeout(PATIENCE, self.reached).await;
        reached.expect("the writer never came to the point").expect("the faults are gone");
        Gate { _release: self.release }
    }
}

impl Faults for ScriptedFaults {
    fn at(&self, point: FaultPoint) -> BoxFuture<'_, Result<(), String>> {
        let plan = self.plans().get_mut(&point).and_then(VecDeque::pop_front);
        Box::pin(async move {
            match plan {
                None => Ok(()),
                Some(Plan::Fail(problem)) => Err(problem),
                Some(Plan::Hold { reached, release }) => {
                    // A test that no longer waits lets us go on as well.
                    let _ = reached.send(());
                    let _ = release.await;
                    Ok(())
                }
            }
        })
    }
}
