//! What is measured, as processes: the server on one of its databases, or the proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use memchr::memmem;
use serde_json::Value;
use support::postgres::Postgres;
use support::server::{ServerOptions, TestServer};
use tokio::time::{MissedTickBehavior, interval};

use super::process::{Helper, ProcessFigures};
use super::report::Kind;
use super::wire::{Connection, get};

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is waited for comes within this time.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where a server is and how to be let in.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// The administrator's key; empty for the proxy.
    pub key: String,
    /// Whether it is the proxy.
    pub proxy: bool,
}

impl Endpoint {
    /// A new connection.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.address).await
    }

    /// The answer to a `GET`, as JSON.
    pub async fn look(&self, path: &str) -> anyhow::Result<Value> {
        let body = self.connect().await?.ask(&get(path, &self.key), 200).await?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// A metric without labels.
    async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let body = self.connect().await?.ask(&get("/metrics", &self.key), 200).await?;
        let text = String::from_utf8(body)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(line.trim().parse()?)
    }

    /// Waits until no turn is under way and the read models know it.
    pub async fn rests(&self) -> anyhow::Result<()> {
        wait_for("rest", async || {
            let running = self.look("/api/v1/chats?status=running&limit=1").await?;
            let reads = self.look("/api/v1/projections").await?;
            Ok(running["items"].as_array().is_some_and(Vec::is_empty) && reads["items"][0]["lag_events"] == 0)
        })
        .await
    }

    /// Waits until no chat is in memory.
    pub async fn sleeps(&self) -> anyhow::Result<()> {
        wait_for("an empty memory", async || Ok(self.metric("verbatim_chats_in_memory ").await? == 0.0)).await
    }
}

/// Looks again and again until something is so.
async fn wait_for(what: &str, look: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begin = Instant::now();
    while !look().await? {
        ensure!(begin.elapsed() < PATIENCE, "{what} did not come");
        ticks.tick().await;
    }
    Ok(())
}

/// The built-in model with a window that a conversation fills.
pub const WINDOW_MODEL: &str = "window-32k";

/// How systems are started.
pub struct Setup {
    /// The program under test.
    pub program: PathBuf,
    /// Where the model is.
    pub model: SocketAddr,
    /// Started when it is needed first.
    pub postgres: Option<Postgres>,
    /// More lines for `[limits]`.
    pub limits: String,
    /// Chats are not sealed.
    pub plain: bool,
}

/// Something that runs and is measured.
pub enum System {
    /// The server. The start that it is at is part of the measurement.
    Server(Box<TestServer>),
    /// The proxy.
    Proxy(Box<Helper>),
}

impl System {
    /// Starts one on a fresh database.
    pub async fn start(setup: &mut Setup, kind: Kind, limits: &str) -> anyhow::Result<System> {
        let database = match kind {
            Kind::Proxy => {
                let model = setup.model.to_string();
                return Ok(System::Proxy(Box::new(Helper::start(&["proxy", "--model", &model]).await?)));
            }
            Kind::Sqlite => None,
            Kind::Postgres => {
                let server = match setup.postgres.take() {
                    Some(server) => server,
                    None => Postgres::start(true)?,
                };
                let url = server.database().await?;
                setup.postgres = Some(server);
                Some(url)
            }
        };
        let options = ServerOptions {
            config: config(setup.model, &format!("{}\n{}\n{limits}", capacity(&setup.limits), setup.limits)),
            environment: vec![
                ("SCRIPTED_KEY".to_owned(), "none".to_owned()),
                ("VERBATIM_SEALING__ENABLED".to_owned(), (!setup.plain).to_string()),
            ],
            database,
            ..ServerOptions::default()
        };
        let mut server = TestServer::prepare(&setup.program, options)?;
        // What is measured is made of the same few words again and again.
        server.skip_histories();
        server.start_again().await.with_context(|| server.log())?;
        Ok(System::Server(Box::new(server)))
    }

    /// Where it is now; a server that was started again is elsewhere.
    pub fn endpoint(&self) -> anyhow::Result<Endpoint> {
        match self {
            System::Proxy(helper) => Ok(Endpoint { address: helper.address, key: String::new(), proxy: true }),
            System::Server(server) => endpoint_of(server),
        }
    }

    /// What the machine says of its process.
    pub fn figures(&self) -> anyhow::Result<ProcessFigures> {
        match self {
            System::Server(server) => Ok(ProcessFigures::of(server.pid())),
            System::Proxy(helper) => helper.figures(),
        }
    }

    /// Stops it in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        if let System::Server(mut server) = self {
            let status = server.terminate().await?;
            ensure!(status.success(), "the server stopped badly: {status}\n{}", server.log());
        }
        Ok(())
    }
}

/// Where a server is now.
pub fn endpoint_of(server: &TestServer) -> anyhow::Result<Endpoint> {
    let address = server.client().url().strip_prefix("http://").context("no address")?.parse()?;
    let key = std::fs::read_to_string(server.data_dir().join("admin.key"))?.trim().to_owned();
    Ok(Endpoint { address, key, proxy: false })
}

/// All chats belong to one owner here, and all of them are at work at once: what is measured is not how they wait. Whoever
/// sets a bound measures that.
fn capacity(limits: &str) -> &'static str {
    if limits.contains("turns_") { "" } else { "turns_root_max = 0\nturns_child_max = 0\nturns_node_max = 0" }
}

/// The settings: the scripted model under the names of its scripts, with a window that nothing fills.
fn config(model: SocketAddr, limits: &str) -> String {
    format!(
        "[providers.scripted]\nkind = \"openai_chat\"\nbase_url = \"http://{model}/v1\"\n\
         api_key_env = \"SCRIPTED_KEY\"\n\n[models.instant-20]\nprovider = \"scripted\"\n\
         context_window = 100000000\ndefault = true\n\n[models.{WINDOW_MODEL}]\nprovider = \"demo\"\n\
         context_window = 32000\n\n[limits]\n{limits}\n"
    )
}

/// The model of this script, as the settings' provider is asked for it.
pub fn scripted(endpoint: &Endpoint, script: &str) -> String {
    if endpoint.proxy { script.to_owned() } else { format!("scripted/{script}") }
}

/// How often `needle` is in `text`.
pub fn count(text: &[u8], needle: &str) -> usize {
    memmem::find_iter(text, needle).count()
}
