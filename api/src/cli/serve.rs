//! `verbatim serve`: the server in the foreground.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::{Style, put};
use super::{Context, FAILED, runtime};
use crate::compose::{Server, StartOptions};
use crate::config::effective;

pub(super) const ABOUT: &str = "\
Run the server.

Without any setting it keeps its log in ./verbatim-data, listens on 127.0.0.1:8080 and answers with the built-in demo
model, so it works without a key and without a network. It prints where it listens and where the admin key lies.

SIGTERM or Ctrl-C stops it in order, within 10 seconds: turns that are under way go on at the next start. A second
signal stops it at once; nothing that was accepted is lost by that either.";

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// The admin key [default: $VERBATIM_ADMIN_KEY, else the one in admin.key in the data directory, which is made at the
    /// first start]
    #[arg(long, value_name = "KEY")]
    admin_key: Option<String>,
    /// Print the settings in force, without secrets, and do not start
    #[arg(long)]
    check_config: bool,
}

pub(super) fn run(context: &Context, args: ServeArgs) -> anyhow::Result<ExitCode> {
    let settings = context.settings(args.listen.as_deref())?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if args.check_config {
        put(&effective(&settings, &context.environment))?;
        return Ok(ExitCode::SUCCESS);
    }
    runtime::block_on(async |shared| {
        let mut signals = Signals::new()?;
        let admin_key = context.given(args.admin_key.as_deref(), &["VERBATIM_ADMIN_KEY"]);
        let options = StartOptions { admin_key, listen: None };
        let mut server = Server::start(settings, &context.environment, options, shared).await?;
        welcome(&server);
        let code = tokio::select! {
            () = signals.next() => ExitCode::SUCCESS,
            error = server.failed() => {
                tracing::error!(%error, "the server cannot go on");
                ExitCode::from(FAILED)
            }
        };
        tracing::info!("stopping");
        tokio::select! {
            () = server.stop() => tracing::info!("stopped"),
            () = signals.next() => {
                tracing::warn!("stopped at once");
                std::process::exit(FAILED.into());
            }
        }
        Ok(code)
    })
}

/// Says where the server is and how to begin. Programs read the first line.
fn welcome(server: &Server) {
    let style = Style::of_stdout();
    let (url, key) = (server.url(), server.admin_key());
    let (place, header) = match &key.file {
        Some(file) => (file.display().to_string(), format!("$(cat {})", shell_word(&file.display().to_string()))),
        None => ("as given".to_owned(), "$VERBATIM_ADMIN_KEY".to_owned()),
    };
    let curl = first_request(url, &header);
    let confined = server.workspaces().confinement_words().map(|words| words + "\n").unwrap_or_default();
    let text = format!("listening on {url}\nadmin key: {place}\n{confined}{}\n{curl}\n", style.dim("a first chat:"));
    // A server whose standard output nobody reads serves all the same.
    put(&text).ok();
}

fn first_request(url: &str, key: &str) -> String {
    format!(
        "  curl -s {url}/api/v1/chats -H \"Authorization: Bearer {key}\" \\\n       \
         -H 'Content-Type: application/json' -d '{{\"content\": \"Hello!\"}}'"
    )
}

/// A word that a shell takes as it is.
fn shell_word(text: &str) -> String {
    let plain = text.chars().all(|character| character.is_ascii_alphanumeric() || "/._-".contains(character));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The signals that stop the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("signals cannot be noticed");
        Ok(Signals { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
