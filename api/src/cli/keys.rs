//! `verbatim keys`: who may use the server; through a running server, else in its log's database.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::Utc;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events_sql::KeyStore;

use super::output::{Style, harmless, put};
use super::remote::Remote;
use super::{Context, rotate, runtime};
use crate::auth::{NewKey, Principal, Role, make};
use crate::config::Settings;
use crate::locate::DataDir;
use crate::wire::key::KeyView;
use crate::wire::request::check_name;

const CREATE: &str = "\
Make a key. It is shown this once; the server keeps nothing but its hash.

Roles: user (its owner's own chats), auditor (reads everything, writes nothing), admin (everything). If a server runs on the
data directory it is asked to do it, and the key is valid at once; else it is done in the log's database.";

const REVOKE: &str = "\
Revoke a key for ever. On a running server it is refused at once, and streams that it has opened end.";

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key
    #[command(long_about = CREATE)]
    Create(CreateArgs),
    /// All keys, revoked ones too; never the keys themselves
    List(CommonArgs),
    /// Revoke a key
    #[command(long_about = REVOKE)]
    Revoke(RevokeArgs),
    /// Wrap the keys that chats are sealed with by a new master key
    #[command(long_about = rotate::ABOUT)]
    RotateMaster,
}

#[derive(Debug, Args)]
pub(super) struct CommonArgs {
    /// An administrator's key to a running server [default: $VERBATIM_KEY, else the admin key in the data directory]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What to call it, such as the program or device that will use it
    #[arg(long)]
    name: String,
    /// Whom it speaks for: the owner of the chats that are made with it
    #[arg(long)]
    owner: String,
    /// What it may do; several are parted by commas
    #[arg(long, visible_alias = "role", value_name = "ROLE", value_delimiter = ',', default_value = "user", value_parser = role)]
    roles: Vec<Role>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The key's id, as `verbatim keys list` shows it
    id: Uuid,
    #[command(flatten)]
    common: CommonArgs,
}

fn role(name: &str) -> Result<Role, String> {
    Role::parse(name).ok_or_else(|| format!("the roles are {}", Role::ALL.map(Role::name).join(", ")))
}

/// Where the keys are changed.
enum Keys {
    Server(Remote),
    Store { store: KeyStore, _serving: crate::locate::Serving },
}

pub(super) fn run(context: &Context, command: KeysCommand) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    let common = match &command {
        KeysCommand::Create(args) => &args.common,
        KeysCommand::List(common) => common,
        KeysCommand::Revoke(args) => &args.common,
        KeysCommand::RotateMaster => return rotate::run(context),
    };
    let key = context.given(common.key.as_deref(), &["VERBATIM_KEY", "VERBATIM_ADMIN_KEY"]);
    let json = common.json;
    runtime::block_on(async |shared| {
        let keys = Keys::find(&settings, key.as_deref(), shared).await?;
        let text = match command {
            KeysCommand::Create(args) => keys.create(args).await.map(|key| made(&key, json)),
            KeysCommand::List(_) => keys.list().await.map(|items| list(&items, json)),
            KeysCommand::Revoke(args) => keys.revoke(args.id).await.map(|()| revoked(args.id, json)),
            KeysCommand::RotateMaster => Ok(String::new()),
        };
        if let Keys::Store { store, .. } = &keys {
            store.close().await;
        }
        put(&text?)?;
        Ok(ExitCode::SUCCESS)
    })
}

impl Keys {
    async fn find(settings: &Settings, key: Option<&str>, shared: Handle) -> anyhow::Result<Keys> {
        let data_dir = DataDir::at(&settings.data_dir);
        if let Some(remote) = Remote::running(&data_dir, key)? {
            return Ok(Keys::Server(remote));
        }
        data_dir.prepare()?;
        let serving = data_dir.serve()?;
        let store = KeyStore::open(&settings.database.url(), shared).await;
        let store = store.with_context(|| format!("the log {}", settings.database))?;
        Ok(Keys::Store { store, _serving: serving })
    }

    async fn create(&self, args: CreateArgs) -> anyhow::Result<Value> {
        let CreateArgs { name, owner, roles, .. } = args;
        match self {
            Keys::Server(remote) => {
                let roles: Vec<&str> = roles.iter().map(|role| role.name()).collect();
                remote.post("/keys", &json!({"name": name, "owner": owner, "roles": roles})).await
            }
            Keys::Store { store, .. } => {
                for (flag, text) in [("name", &name), ("owner", &owner)] {
                    check_name(text).map_err(|problem| anyhow::anyhow!("--{flag} {problem}"))?;
                }
                let principal = Principal { owner, roles: roles.into_iter().collect() };
                let made = make(store, NewKey { name, principal }, Utc::now()).await?;
                let view = KeyView { key: Some(&made.secret), ..KeyView::of(&made.stored) };
                Ok(serde_json::to_value(view)?)
            }
        }
    }

    async fn list(&self) -> anyhow::Result<Vec<Value>> {
        match self {
            Keys::Server(remote) => {
                let mut items = Vec::new();
                let mut path = "/keys?limit=200".to_owned();
                loop {
                    let page = remote.get(&path).await?;
                    items.extend(page["items"].as_array().cloned().unwrap_or_default());
                    let Some(cursor) = page["next_cursor"].as_str() else { return Ok(items) };
                    path = format!("/keys?limit=200&cursor={cursor}");
                }
            }
            Keys::Store { store, .. } => {
                store.list().await?.iter().map(|key| Ok(serde_json::to_value(KeyView::of(key))?)).collect()
            }
        }
    }

    async fn revoke(&self, id: Uuid) -> anyhow::Result<()> {
        match self {
            Keys::Server(remote) => remote.delete(&format!("/keys/{id}")).await,
            Keys::Store { store, .. } => {
                if !store.revoke(id, Utc::now()).await? && !store.list().await?.iter().any(|key| key.id == id) {
                    bail!("there is no such key");
                }
                Ok(())
            }
        }
    }
}

fn made(key: &Value, json: bool) -> String {
    if json {
        return format!("{key}\n");
    }
    let style = Style::of_stdout();
    let text = |name: &str| harmless(key[name].as_str().unwrap_or_default());
    format!(
        "{}\n{}\n",
        text("key"),
        style.dim(&format!("key {} of {}; it is not shown again", text("id"), text("owner")))
    )
}

fn list(items: &[Value], json: bool) -> String {
    if json {
        return format!("{}\n", json!({ "items": items }));
    }
    let style = Style::of_stdout();
    let mut table =
        style.bold(&format!("{:<36}  {:<20}  {:<20}  {:<18}  state", "id", "name", "owner", "roles")) + "\n";
    for key in items {
        let text = |name: &str| harmless(key[name].as_str().unwrap_or_default());
        let roles = key["roles"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let roles = harmless(&roles.collect::<Vec<_>>().join(","));
        let state = key["revoked_at"].as_str().map_or_else(|| "valid".to_owned(), |at| format!("revoked {at}"));
        let (id, name, owner) = (text("id"), text("name"), text("owner"));
        table.push_str(&format!("{id:<36}  {name:<20}  {owner:<20}  {roles:<18}  {state}\n"));
    }
    table
}

fn revoked(id: Uuid, json: bool) -> String {
    if json { format!("{}\n", json!({ "revoked": id })) } else { format!("revoked {id}\n") }
}
