//! After a start: what owners have spent so far is taken from the read models, once they know everything.

use std::sync::Arc;
use std::time::Duration;

use verbatim_actors::budgets::Budgets;
use verbatim_actors::clock::Clock;
use verbatim_events::budget::{BudgetPeriod, Spent};
use verbatim_events::log::EventLog;
use verbatim_projections::{ReadError, ReadModels};

/// How long one wait for the read models lasts before it is looked again where the log's head is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the budgets what was spent in this month up to now. What is spent from now on they are told by the chats.
pub(super) async fn seed(budgets: Arc<Budgets>, log: Arc<dyn EventLog>, reads: ReadModels, clock: Arc<dyn Clock>) {
    loop {
        let pause = match log.head().await {
            Ok(head) => {
                while reads.stale().is_some() || reads.wait_until(head, PATIENCE).await.is_err() {
                    tokio::time::sleep(PAUSE).await;
                }
                match reads.spent_since(BudgetPeriod::Month.first_day(clock.now().date_naive())).await {
                    Ok((position, spent)) => {
                        let sums = spent.into_iter().map(|spent| {
                            let (tokens, cost_micros) = (spent.tokens, spent.cost_micros);
                            (spent.owner, spent.day, Spent { tokens, cost_micros })
                        });
                        if budgets.seed(position, sums) {
                            return;
                        }
                        Duration::ZERO
                    }
                    Err(ReadError::Stopped) => return,
                    Err(error) => {
                        tracing::warn!(%error, "budgets wait for the read models");
                        PAUSE
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "budgets wait for the log");
                PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}
