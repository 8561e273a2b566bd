//! The load bench: the real server under load, on SQLite and on PostgreSQL, beside a bare proxy that stores nothing.
//!
//! `cargo build --release -p verbatim && cargo run --release -p tests --bin load`
//!
//! The driver, the scripted model and the proxy are this one program in several processes, each on one thread. They
//! share the machine with the server, so figures are those of the whole, as somebody would see them who runs all of it
//! there.

mod model;
mod process;
mod proxy;
mod report;
mod sections;
mod speaker;
mod system;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;
use clap::{Parser, Subcommand, ValueEnum};

use self::process::Helper;
use self::report::{Kind, Report, machine};
use self::sections::population::Population;
use self::sections::{Section, Sizes, crash, history, life, population, turns, watchers};
use self::system::{Setup, System};
use self::wire::Connection;

/// Measures the server under load.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// What to measure, separated by commas [default: everything]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    /// Where the log lives
    #[arg(long, value_enum, default_value_t = Databases::Both)]
    database: Databases,
    /// Store chats as they are, so that what sealing costs is seen beside a run without this
    #[arg(long)]
    plain: bool,
    /// Leave the bare proxy out
    #[arg(long)]
    no_proxy: bool,
    /// The program under test [default: `verbatim` beside this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// A line for the server's [limits]; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    limit: Vec<String>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Do not tell on standard error what comes in
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    sizes: Sizes,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Be the scripted model
    Model,
    /// Be the bare proxy
    Proxy {
        /// Where the model is
        #[arg(long)]
        model: SocketAddr,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Databases {
    Sqlite,
    Postgres,
    Both,
}

impl Databases {
    fn kinds(self) -> Vec<Kind> {
        match self {
            Databases::Sqlite => vec![Kind::Sqlite],
            Databases::Postgres => vec![Kind::Postgres],
            Databases::Both => vec![Kind::Sqlite, Kind::Postgres],
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.mode {
        Some(Mode::Model) => model::serve().await,
        Some(Mode::Proxy { model }) => proxy::serve(model).await,
        None => measure(arguments).await,
    }
}

async fn measure(arguments: Arguments) -> anyhow::Result<()> {
    let program = match arguments.program {
        Some(program) => std::path::absolute(program)?,
        None => std::env::current_exe()?.with_file_name("verbatim"),
    };
    ensure!(program.is_file(), "{} is not there: cargo build --release -p verbatim", program.display());
    let machine = machine();
    let mut kinds = arguments.database.kinds();
    if !arguments.no_proxy {
        kinds.push(Kind::Proxy);
    }
    let sections = if arguments.only.is_empty() { Section::value_variants() } else { &arguments.only };
    let mut report = Report::new(arguments.quiet);
    for kind in kinds {
        // A model of its own for each, so that none finds it warm or released.
        let model = Helper::start(&["model"]).await?;
        let mut setup = Setup {
            program: program.clone(),
            model: model.address,
            postgres: None,
            limits: arguments.limit.join("\n"),
            plain: arguments.plain,
        };
        one(kind, &mut setup, sections, &arguments.sizes, &mut report).await?;
    }
    if arguments.json {
        println!("{}", serde_json::json!({ "machine": machine, "figures": report.json() }));
    } else {
        println!("{}\n{machine}", report.table());
    }
    Ok(())
}

/// Measures one kind of system; each section has a fresh one, but for those that need many chats: they share theirs.
async fn one(
    kind: Kind,
    setup: &mut Setup,
    sections: &[Section],
    sizes: &Sizes,
    report: &mut Report,
) -> anyhow::Result<()> {
    let wanted = |section: Section| sections.contains(&section);
    if wanted(Section::Turns) {
        let system = System::start(setup, kind, "").await?;
        turns::run(kind, &system, sizes, report).await?;
        system.stop().await?;
    }
    if wanted(Section::Watchers) {
        let system = System::start(setup, kind, "").await?;
        watchers::run(kind, &system, sizes, report).await?;
        system.stop().await?;
    }
    if wanted(Section::History) && kind != Kind::Proxy {
        let system = System::start(setup, kind, "").await?;
        history::run(kind, &system, sizes, report).await?;
        system.stop().await?;
    }
    if wanted(Section::Life) && kind != Kind::Proxy {
        let system = System::start(setup, kind, "").await?;
        life::run(kind, &system, sizes, report).await?;
        system.stop().await?;
    }
    if [Section::Idle, Section::Rebuild, Section::Crash].into_iter().any(wanted) && kind != Kind::Proxy {
        let mut system = System::start(setup, kind, population::LIMITS).await?;
        let population = Population::make(&system, sizes).await?;
        if wanted(Section::Idle) {
            population.idle(kind, &system, report).await?;
        }
        if wanted(Section::Rebuild) {
            population.rebuild(kind, &system, report).await?;
        }
        if wanted(Section::Crash) {
            let mut model = Connection::open(setup.model).await?;
            crash::run(kind, &mut system, &population, &mut model, sizes, report).await?;
        }
        system.stop().await?;
    }
    Ok(())
}
