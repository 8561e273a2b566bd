//! `verbatim chat`: a client of the server like any other, over HTTP, whoever runs the server.

mod conversation;
mod follow;
mod frames;
mod input;
mod live;
mod markdown;
mod phrases;
mod questions;
mod screen;
mod show;
mod slash;
mod talk;
mod text;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use verbatim_events::ids::ChatId;

use super::remote::Remote;
use super::{Context, FAILED, runtime};
use crate::compose::{Server, StartOptions};
use crate::config::Settings;
use crate::locate::DataDir;
use conversation::{Conversation, Reached};
use live::Begin;
use screen::Screen;
use talk::NewChat;

pub(super) const ABOUT: &str = "\
Talk in the terminal.

With TEXT, or with a text piped in, one question is asked and its answer printed; without, a conversation begins. What is
typed while an answer comes waits for its end. Ctrl-C stops the answer that is under way, a second one leaves; /help
lists what else can be done.

The chat is kept by a server: the one named by --server, else the one that runs on the data directory, else one that is
started for the time of the conversation. A turn that failed ends the command with exit code 1.

On a terminal the answer appears as it comes, its Markdown rendered unless NO_COLOR is set; tools that need an approval are
asked about. In a pipe only final answers are written, so that the half of an attempt that failed is never among them, and
all else goes to standard error; --json writes every frame of the chat's stream as a line of JSON.";

#[derive(Debug, Args)]
pub(super) struct ChatArgs {
    /// What to ask; without it standard input is read
    text: Option<String>,
    /// Continue this chat instead of beginning one
    #[arg(long, value_name = "ID")]
    chat: Option<ChatId>,
    /// The model of a new chat, or of this message [default: the chat's, else the server's default model]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Talk to this server [default: $VERBATIM_SERVER, else the one on the data directory]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The key to the server [default: $VERBATIM_KEY, else the admin key in the data directory]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Client tools of a new chat: a JSON list of {name, description, parameters}; another program runs them
    #[arg(long, value_name = "FILE", conflicts_with = "chat")]
    tools: Option<PathBuf>,
    /// Print every frame as a line of JSON
    #[arg(long)]
    json: bool,
}

impl ChatArgs {
    /// Whether there is a screen to draw on: a terminal that can move its cursor, on both outputs.
    pub(super) fn has_screen(&self) -> bool {
        let can_move = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        !self.json && can_move && io::stdout().is_terminal() && io::stderr().is_terminal()
    }
}

pub(super) fn run(context: &Context, args: ChatArgs) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    let text = match &args.text {
        Some(text) => Some(text.clone()),
        None if io::stdin().is_terminal() => None,
        None => Some(input::whole().context("standard input cannot be read")?),
    };
    if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
        bail!("there is nothing to ask: the text is empty");
    }
    let tools = match &args.tools {
        Some(file) => Some(tools(file).with_context(|| format!("the tools in {}", file.display()))?),
        None => None,
    };
    let new = NewChat { model: args.model.clone(), tools };
    runtime::block_on(async |shared| {
        let (remote, server) = server(context, &args, settings, shared).await?;
        let done = converse(remote, &args, new, text).await;
        if let Some(server) = server {
            server.stop().await;
        }
        done
    })
}

/// The server to talk to, and the one that must be stopped afterwards if it was started for this.
async fn server(
    context: &Context,
    args: &ChatArgs,
    settings: Settings,
    shared: tokio::runtime::Handle,
) -> anyhow::Result<(Remote, Option<Server>)> {
    let key = context.given(args.key.as_deref(), &["VERBATIM_KEY", "VERBATIM_ADMIN_KEY"]);
    let data_dir = DataDir::at(&settings.data_dir);
    if let Some(url) = context.given(args.server.as_deref(), &["VERBATIM_SERVER"]) {
        let stored = data_dir.stored_admin_key().ok().flatten().map(|key| key.secret);
        let Some(key) = key.or(stored) else {
            bail!("{url} needs a key; give it by --key or in VERBATIM_KEY");
        };
        return Ok((Remote::new(&url, key)?, None));
    }
    if let Some(remote) = Remote::running(&data_dir, key.as_deref())? {
        return Ok((remote, None));
    }
    let options = StartOptions {
        admin_key: context.given(None, &["VERBATIM_ADMIN_KEY"]),
        // Any free port: the usual one may belong to a server on another data directory.
        listen: Some("127.0.0.1:0".to_owned()),
    };
    let server = Server::start(settings, &context.environment, options, shared).await?;
    let remote = Remote::new(server.url(), server.admin_key().secret.clone())?;
    Ok((remote, Some(server)))
}

fn tools(file: &Path) -> anyhow::Result<serde_json::Value> {
    live::client_tools(&std::fs::read_to_string(file)?)
}

async fn converse(remote: Remote, args: &ChatArgs, new: NewChat, text: Option<String>) -> anyhow::Result<ExitCode> {
    let chat = args.chat.map(|chat| chat.to_string());
    let has_keys = io::stdin().is_terminal();
    let is_talk = text.is_none();
    let reached = if args.has_screen() && (has_keys || !is_talk) {
        let begin = match (text, chat) {
            (Some(text), Some(chat)) => Begin::Asked(talk::send(&remote, &chat, &text, new.model.as_deref()).await?),
            (Some(text), None) => Begin::Asked(talk::create(&remote, &text, &new).await?),
            (None, Some(chat)) => {
                // A chat that is not there is a mistake on the command line, not one of the conversation.
                remote.get(&format!("/chats/{chat}")).await?;
                Begin::Chat(chat)
            }
            (None, None) => Begin::Empty,
        };
        live::talk(remote, begin, new, has_keys).await?
    } else {
        let mut conversation = Conversation::new(remote, chat, new, Screen::new(args.json));
        match text {
            Some(text) => conversation.ask(&text).await?,
            None => {
                conversation.talk().await?;
                Reached::Left
            }
        }
    };
    Ok(match reached {
        Reached::Answer => ExitCode::SUCCESS,
        Reached::Left if is_talk => ExitCode::SUCCESS,
        Reached::Left | Reached::Nothing => ExitCode::from(FAILED),
    })
}
