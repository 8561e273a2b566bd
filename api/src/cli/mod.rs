//! The command line: what it takes, and which file does what it asks.

mod audit;
mod backup;
mod chat;
mod confine;
mod keys;
mod log;
mod openapi;
mod output;
mod progress;
mod projections;
mod remote;
mod replay;
mod restore;
mod rotate;
mod runtime;
mod serve;
mod supervise;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

use crate::config::{ConfigError, Environment, Flags, Settings};
use crate::telemetry;

/// Something failed.
const FAILED: u8 = 1;

/// The command line or the settings are wrong.
const USAGE: u8 = 2;

const ABOUT: &str = "\
Verbatim is a server for AI chats that loses nothing and repeats nothing: every chat is an event log, every answer is
streamed from it, and what happened can be replayed and proved at any time.";

const EXAMPLES: &str = "\
Begin with:
  verbatim serve                          the server, with a built-in demo model: no key, no network needed
  verbatim chat \"What can you do?\"        one question, from another terminal or without any server
  verbatim chat                           a conversation
  verbatim replay CHAT                    everything that happened in a chat

Settings come from verbatim.toml, then from variables (VERBATIM_LISTEN, VERBATIM_LIMITS__QUEUE_MAX …), then from flags.
Exit codes: 0 done, 1 failed, 2 wrong command line or settings.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "verbatim", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where settings and data are. Every command takes these.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
struct Place {
    /// The settings file [default: ./verbatim.toml, else the one in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the log, the keys and all else lies [default: ./verbatim-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The log's home: sqlite:PATH or postgres://… [default: sqlite:<data dir>/events.db]
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(long_about = serve::ABOUT)]
    Serve(serve::ServeArgs),
    /// Talk in the terminal
    #[command(long_about = chat::ABOUT)]
    Chat(chat::ChatArgs),
    /// Show and check what happened in a chat
    #[command(long_about = replay::ABOUT)]
    Replay(replay::ReplayArgs),
    /// Check the whole log, write it out, read it in
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Who may use the server
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Look at the read models, or build them anew
    Projections {
        #[command(subcommand)]
        command: projections::ProjectionsCommand,
    },
    /// Copy the log, its keys and its files, beside a running server
    #[command(long_about = backup::ABOUT)]
    Backup(backup::BackupArgs),
    /// Put a backup in place of a log that is not there
    #[command(long_about = restore::ABOUT)]
    Restore(restore::RestoreArgs),
    /// Print the contract of the HTTP interface, an OpenAPI 3.1 document
    Openapi,
    /// Supervise a command of a tool
    #[command(hide = true)]
    Supervise(supervise::SuperviseArgs),
    /// Confine a command of a tool
    #[command(hide = true)]
    Confine {
        #[command(subcommand)]
        command: confine::ConfineCommand,
    },
}

/// What every command gets.
pub(crate) struct Context {
    place: Place,
    environment: Environment,
}

impl Context {
    /// The settings in force, with a command's own flag for the address if it has one.
    fn settings(&self, listen: Option<&str>) -> Result<Settings, ConfigError> {
        let flags = Flags {
            config: self.place.config.clone(),
            data_dir: self.place.data_dir.clone(),
            database: self.place.database.clone(),
            listen: listen.map(str::to_owned),
        };
        Settings::load(&flags, &self.environment)
    }

    /// What a flag says, else the first of these variables that says something.
    fn given(&self, flag: Option<&str>, variables: &[&str]) -> Option<String> {
        flag.or_else(|| variables.iter().find_map(|name| self.environment.get(name))).map(str::to_owned)
    }
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        // Before anything that could start a thread, read the settings or print a line.
        Command::Supervise(args) => return supervise::run(args),
        Command::Confine { command } => return confine::run(command),
        _ => {}
    }
    let environment = Environment::of_process();
    let level = match cli.command {
        Command::Serve(_) => LevelFilter::INFO,
        // Its screen shows what happens, and is no place for log lines.
        Command::Chat(ref args) if args.has_screen() => LevelFilter::ERROR,
        _ => LevelFilter::WARN,
    };
    verbatim_llm::install_crypto();
    let telemetry = telemetry::start(&environment, level);
    for warning in &telemetry.warnings {
        tracing::warn!("{warning}");
    }
    let context = Context { place: cli.place, environment };
    let done = match cli.command {
        Command::Serve(args) => serve::run(&context, args),
        Command::Chat(args) => chat::run(&context, args),
        Command::Replay(args) => replay::run(&context, args),
        Command::Audit { command } => audit::run(&context, command),
        Command::Keys { command } => keys::run(&context, command),
        Command::Projections { command } => projections::run(&context, command),
        Command::Backup(args) => backup::run(&context, args),
        Command::Restore(args) => restore::run(&context, args),
        Command::Openapi => openapi::run(),
        Command::Supervise(args) => Ok(supervise::run(&args)),
        Command::Confine { command } => Ok(confine::run(&command)),
    };
    telemetry.stop();
    done.unwrap_or_else(|error| {
        // Whoever read our output has enough of it: no reason to complain.
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            return ExitCode::from(FAILED);
        }
        output::problem(&error);
        ExitCode::from(if error.is::<ConfigError>() { USAGE } else { FAILED })
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
