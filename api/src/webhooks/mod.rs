//! Webhooks: what happens, told to addresses that the administrator names in the settings.
//!
//! Each webhook follows the log by itself from its own place, which lies in a file of the data directory, and tells one thing
//! after the other in the log's order. So the log is the queue: a receiver that is away for days misses nothing, holds up
//! nobody else, and no turn ever waits for one.
//!
//! **Invariant:** the place moves past an event only once all it has to say was taken, or was set aside where everybody
//! can see it. After a crash some things are told again, under the same id. **Invariant:** what is told is a type and ids, never
//! anybody's words.

mod backoff;
mod deliver;
mod follow;
pub mod kinds;
mod place;
pub mod sign;
mod status;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use verbatim_actors::clock::Clock;
use verbatim_events::log::{EventLog, LogError};
use verbatim_projections::ReadModels;

use crate::config::{Environment, WebhookConfig};

use self::deliver::Receiver;
use self::follow::Follower;
use self::place::Places;
use self::sign::Secret;
use self::status::Shared;
pub use self::status::{SetAsideView, WebhookState, WebhookView};

/// The folder of the webhooks' places in the data directory.
const FOLDER: &str = "webhooks";

/// What webhooks are built on.
#[derive(Clone)]
pub struct Sources {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The read models, for chats that a follower does not know yet.
    pub reads: ReadModels,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Why a webhook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Its secret is not set.
    #[error("webhook {name}: the variable {variable} with its secret is not set")]
    NoSecret {
        /// The webhook.
        name: String,
        /// The variable.
        variable: String,
    },
    /// Its secret cannot be used.
    #[error("webhook {name}: the secret in {variable} {problem}")]
    BadSecret {
        /// The webhook.
        name: String,
        /// The variable.
        variable: String,
        /// In what way.
        problem: &'static str,
    },
    /// No HTTP client can be made.
    #[error("webhook {name}: {problem}")]
    Client {
        /// The webhook.
        name: String,
        /// Why.
        problem: String,
    },
    /// The log does not say where it ends.
    #[error("the webhooks: {0}")]
    Log(#[from] LogError),
    /// Its place cannot be read.
    #[error("webhook {name}: its place cannot be read: {problem}")]
    Place {
        /// The webhook.
        name: String,
        /// Why.
        problem: String,
    },
}

/// The webhooks of a server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Webhooks {
    all: Arc<BTreeMap<String, Arc<Shared>>>,
}

impl Webhooks {
    /// Opens the webhooks of the settings, and gives the tasks that follow the log for them: to be spawned, each ends when
    /// `stop` is cancelled.
    pub async fn open(
        configured: &BTreeMap<String, WebhookConfig>,
        environment: &Environment,
        data_dir: &Path,
        sources: &Sources,
        stop: &CancellationToken,
    ) -> Result<(Webhooks, Vec<impl Future<Output = ()> + Send + 'static>), WebhookError> {
        let places = Places::at(data_dir.join(FOLDER));
        let (mut all, mut tasks) = (BTreeMap::new(), Vec::new());
        let head = if configured.is_empty() { 0 } else { sources.log.head().await? };
        for (name, config) in configured {
            let variable = config.secret_env.clone();
            let secret = environment
                .get(&variable)
                .ok_or_else(|| WebhookError::NoSecret { name: name.clone(), variable: variable.clone() })?;
            let secret = Secret::parse(secret).map_err(|problem| WebhookError::BadSecret {
                name: name.clone(),
                variable,
                problem,
            })?;
            let receiver = Receiver::new(config, secret)
                .map_err(|problem| WebhookError::Client { name: name.clone(), problem })?;
            let place = places
                .load(name)
                .await
                .map_err(|error| WebhookError::Place { name: name.clone(), problem: error.to_string() })?;
            let shared = Arc::new(Shared::new(name.clone(), config.clone()));
            all.insert(name.clone(), Arc::clone(&shared));
            let mut follower =
                Follower::new(name.clone(), config.clone(), receiver, places.clone(), shared, sources.clone());
            // Before anything can happen that a new one must be told.
            let place = follower.begin(place, head).await;
            tasks.push(follower.run(place, stop.clone()));
        }
        Ok((Webhooks { all: Arc::new(all) }, tasks))
    }

    /// How each of them stands, by name.
    pub fn list(&self, log: &dyn EventLog) -> Vec<WebhookView> {
        self.all.values().map(|shared| shared.view(log)).collect()
    }

    /// Lets a webhook that stands still, or waits, try again at once, and says how it stands then. None if there is none of
    /// this name.
    pub async fn resume(&self, name: &str, log: &dyn EventLog) -> Option<WebhookView> {
        let shared = self.all.get(name)?;
        shared.resume().await;
        Some(shared.view(log))
    }

    /// How many do not get through.
    pub fn failing(&self) -> usize {
        self.all.values().filter(|shared| shared.is_failing()).count()
    }
}
