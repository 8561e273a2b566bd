//! The server under test with its database, and how they are killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::sync::watch;

use super::{ChaosOptions, Report, Target};
use crate::http::Client;
use crate::postgres::Postgres;
use crate::server::{ServerOptions, TestServer};

/// Retries come soon, so that there are many of them, also where kills have raised the number of attempts, and streams
/// speak often.
const CONFIG: &str = "[limits]\nretry_base_ms = 60\nretry_cap_ms = 1000\nheartbeat_ms = 1000\n";

/// An orderly stop takes no longer than this.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The server and its database.
pub(super) struct Home {
    server: TestServer,
    postgres: Option<Arc<Postgres>>,
    target: Target,
}

impl Home {
    pub(super) async fn start(options: &ChaosOptions) -> anyhow::Result<Home> {
        let postgres = match options.target {
            Target::Sqlite => None,
            // A database that will be killed must write as in production.
            Target::Postgres | Target::PostgresItself => {
                let fsync = options.target == Target::PostgresItself;
                Some(Arc::new(tokio::task::spawn_blocking(move || Postgres::start(fsync)).await??))
            }
        };
        let database = match &postgres {
            Some(postgres) => Some(postgres.database().await?),
            None => None,
        };
        let server_options = ServerOptions { database, ..ServerOptions::with_config(CONFIG) };
        let mut server = TestServer::prepare(&options.program, server_options)?;
        server.start_again().await?;
        Ok(Home { server, postgres, target: options.target })
    }

    pub(super) fn client(&self) -> Client {
        self.server.client().clone()
    }

    /// What the server has printed.
    pub(super) fn log(&self) -> String {
        self.server.log()
    }

    /// Kills and starts again. While there is no server, nobody has a client.
    pub(super) async fn kill(&mut self, client: &watch::Sender<Option<Client>>) -> anyhow::Result<()> {
        match (self.target, &self.postgres) {
            (Target::PostgresItself, Some(postgres)) => {
                let postgres = Arc::clone(postgres);
                tokio::task::spawn_blocking(move || {
                    postgres.kill()?;
                    postgres.resume()
                })
                .await?
            }
            _ => {
                client.send_replace(None);
                self.server.kill().await?;
                self.server.start_again().await.with_context(|| self.server.log())?;
                client.send_replace(Some(self.client()));
                Ok(())
            }
        }
    }

    /// Stops in order and starts again; returns how long the stop took, in ms.
    pub(super) async fn restart(&mut self, client: &watch::Sender<Option<Client>>) -> anyhow::Result<u128> {
        client.send_replace(None);
        let begin = Instant::now();
        let status = self.server.terminate().await?;
        let stop = begin.elapsed();
        ensure!(status.success() && stop <= STOP_MAX, "the stop took {stop:?} and ended with {status}");
        self.server.start_again().await.with_context(|| self.server.log())?;
        client.send_replace(Some(self.client()));
        Ok(stop.as_millis())
    }

    /// The whole log must hold together.
    pub(super) async fn audit(&self, report: &Report) -> anyhow::Result<()> {
        let output = self.server.run(&["audit", "verify", "--json"]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "the audit failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        let audit: serde_json::Value = serde_json::from_str(&text)?;
        let events = audit["events"].as_u64();
        ensure!(events == Some(report.events as u64), "the audit saw {events:?} events, clients {}", report.events);
        Ok(())
    }

    /// One chat must follow from its log, prompts included.
    pub(super) async fn replay(&self, chat: &str) -> anyhow::Result<()> {
        let output = self.server.run(&["replay", chat, "--check"]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "the replay failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}
