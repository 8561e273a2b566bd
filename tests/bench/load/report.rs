//! What was measured, beside what is wanted and beside the bare proxy.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The server with its log in SQLite.
    Sqlite,
    /// The server with its log in PostgreSQL.
    Postgres,
    /// The proxy that stores nothing.
    Proxy,
}

impl Kind {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sqlite => "SQLite",
            Kind::Postgres => "PostgreSQL",
            Kind::Proxy => "bare proxy",
        }
    }
}

/// What is wanted on two cores that the driver and the model share.
const GOALS: &[(&str, &str)] = &[
    ("turn of 20 tokens, 1 chat, p50", "< 2.5"),
    ("turns, 16 chats at once", "> 2500"),
    ("server CPU per turn, 16 chats at once", "< 0.5"),
    ("first token over the model's own, p50", "< 1.5"),
    ("first token over the model's own, p99", "< 8"),
    ("tokens delivered, 1 chat, 50 watchers", "> 1500000"),
    ("turn at history 1000 against 10", "< 1.3"),
    ("last turns of a long life against the first", "< 1.3"),
    ("memory at start", "< 30"),
    ("memory after 20 turns", "< 40"),
    ("memory per chat at rest", "0, beyond a bounded cache"),
    ("rebuild of the read models", "> 100000"),
    ("kill -9, start, first answered message", "< 1000"),
];

/// A line of the table.
#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    values: Vec<(Kind, f64)>,
}

impl Row {
    fn value(&self, kind: Kind) -> Option<f64> {
        self.values.iter().find(|(of, _)| *of == kind).map(|(_, value)| *value)
    }

    fn goal(&self) -> Option<&'static str> {
        GOALS.iter().find(|(name, _)| *name == self.name).map(|(_, goal)| *goal)
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    quiet: bool,
}

impl Report {
    /// An empty report; a quiet one does not tell on standard error what comes in.
    pub fn new(quiet: bool) -> Report {
        Report { rows: Vec::new(), quiet }
    }

    /// Takes a figure. The same measure of another kind shares its line.
    pub fn put(&mut self, kind: Kind, name: &str, value: f64, unit: &'static str) {
        if !self.quiet {
            eprintln!("{:<11} {name:<52} {} {unit}", kind.name(), shown(value));
        }
        let index = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name: name.to_owned(), unit, values: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[index].values.push((kind, value));
    }

    /// A Markdown table. In brackets: how many times what the proxy takes or does.
    pub fn table(&self) -> String {
        let mut kinds: Vec<Kind> = self.rows.iter().flat_map(|row| &row.values).map(|(kind, _)| *kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut text = String::from("| | goal |");
        for kind in &kinds {
            let _ = write!(text, " {} |", kind.name());
        }
        let _ = write!(text, "\n|---|---|{}\n", "---|".repeat(kinds.len()));
        for row in &self.rows {
            let _ = write!(text, "| {}, {} | {} |", row.name, row.unit, row.goal().unwrap_or_default());
            for kind in &kinds {
                let cell = row.value(*kind).map(|value| match row.value(Kind::Proxy) {
                    Some(base) if *kind != Kind::Proxy && base > 0.0 => {
                        format!("{} ({:.2} ×)", shown(value), value / base)
                    }
                    _ => shown(value),
                });
                let _ = write!(text, " {} |", cell.unwrap_or_default());
            }
            text.push('\n');
        }
        text
    }

    /// The same for programs: `[{measure, unit, goal, values: {name: number}}]`.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let values = row.values.iter().map(|(kind, value)| (kind.name().to_owned(), json!(value)));
            let values: serde_json::Map<String, Value> = values.collect();
            json!({ "measure": row.name, "unit": row.unit, "goal": row.goal(), "values": values })
        });
        rows.collect()
    }
}

/// A number with as many places as say something.
fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value that this share of all stays within.
pub fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}

/// The machine, in a line.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "an unknown processor".to_owned());
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kib: f64 = memory.trim_end_matches("kB").trim().parse().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores of {processor}, {:.0} GB of memory; load before: {load}", kib * 1024.0 / 1e9)
}
