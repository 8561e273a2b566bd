//! Output without a screen to draw on: a pipe gets final answers alone, a plain terminal everything as it comes.

use std::io::{self, IsTerminal as _};

use chrono::Utc;
use serde_json::{Value, json};

use super::phrases;
use super::show::{Action, End, Show};
use crate::cli::output::{Style, harmless, note, put};

/// Where the turn goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// People watch: the answer as it comes, remarks in between.
    Terminal,
    /// A program reads: whole answers, so that a failed attempt's half is never among them.
    Pipe,
    /// A program reads: every frame as a line of JSON.
    Json,
}

/// The output of a conversation.
pub(super) struct Screen {
    kind: Kind,
    style: Style,
    remarks: Style,
    /// The cursor stands behind text on its line.
    in_line: bool,
    /// What stands there is no answer.
    aside: bool,
}

impl Screen {
    pub(super) fn new(json: bool) -> Screen {
        let kind = match (json, io::stdout().is_terminal()) {
            (true, _) => Kind::Json,
            (false, true) => Kind::Terminal,
            (false, false) => Kind::Pipe,
        };
        Screen { kind, style: Style::of_stdout(), remarks: Style::of_stderr(), in_line: false, aside: false }
    }

    /// A frame as it came.
    pub(super) fn frame(&mut self, event: &str, id: Option<&str>, data: &Value) -> io::Result<()> {
        match self.kind {
            Kind::Json => put(&format!("{}\n", json!({ "event": event, "id": id, "data": data }))),
            Kind::Terminal | Kind::Pipe => Ok(()),
        }
    }

    /// Something of a turn.
    pub(super) fn show(&mut self, show: &Show) -> io::Result<()> {
        match (self.kind, show) {
            (_, Show::Reconnecting) => self.hint("the server does not answer; trying again"),
            (Kind::Json, _) => Ok(()),
            (Kind::Pipe, Show::Text(_) | Show::Reasoning(_) | Show::ToolOutput { .. } | Show::Void) => Ok(()),
            (Kind::Pipe, Show::Answer { text, .. }) => put(&format!("{text}\n")),
            (Kind::Terminal, Show::Answer { text, streamed }) => {
                self.text(&text[*streamed..])?;
                self.line_end()
            }
            (Kind::Terminal, Show::Text(text)) => self.text(text),
            (Kind::Terminal, Show::Reasoning(text)) => self.thought(text),
            (Kind::Terminal, Show::ToolOutput { output, .. }) => self.thought(output),
            (Kind::Terminal, Show::Void) => {
                self.line_end()?;
                self.remark(&self.remarks.dim("(void: this attempt failed)"))
            }
            (_, Show::Waits) => self.remark(&self.remarks.dim("(waits for the answer that is under way)")),
            (_, Show::WaitsForCapacity) => {
                self.remark(&self.remarks.dim(&format!("({})", phrases::WAITS_FOR_CAPACITY)))
            }
            (_, Show::ToolCall { name, args }) => {
                self.remark(&self.remarks.yellow(&format!("→ {}", phrases::call(name, args))))
            }
            (_, Show::ToolResult { name, result, is_error, .. }) => {
                let line = format!("← {}: {}", harmless(name), phrases::result(result));
                self.remark(&if *is_error { self.remarks.red(&line) } else { self.remarks.dim(&line) })
            }
            (_, Show::Retry { attempt, delay_ms, error, .. }) => {
                self.remark(&self.remarks.yellow(&phrases::failed_attempt(*attempt, error, *delay_ms)))
            }
            (_, Show::Action(action)) => self.action(action),
            (_, Show::End(end)) => self.end(end),
            (
                _,
                Show::Said { .. }
                | Show::Asked { .. }
                | Show::Calling { .. }
                | Show::Decided(_)
                | Show::Resolved
                | Show::Queue(_)
                | Show::Title(_)
                | Show::Remark(_),
            ) => Ok(()),
        }
    }

    /// A remark beside the conversation.
    pub(super) fn remark(&mut self, text: &str) -> io::Result<()> {
        self.line_end()?;
        note(text);
        Ok(())
    }

    /// A remark of little weight, left out where programs read.
    pub(super) fn hint(&mut self, text: &str) -> io::Result<()> {
        if self.kind == Kind::Terminal { self.remark(&self.remarks.dim(text)) } else { Ok(()) }
    }

    fn action(&mut self, action: &Action) -> io::Result<()> {
        let left = phrases::until(&action.deadline, Utc::now())
            .map_or_else(String::new, |ms| format!(" (within {})", phrases::left(ms)));
        for call in &action.calls {
            let waits = if call.needs_approval { "an approval" } else { "the client that declared it" };
            let line = format!("{} waits for {waits}{left}", phrases::call(&call.name, &call.args));
            self.remark(&self.remarks.red(&line))?;
        }
        self.remark("the turn goes on when every call has its answer; `verbatim chat --chat ID` on a terminal asks for approvals")
    }

    fn end(&mut self, end: &End) -> io::Result<()> {
        let line = match end {
            End::Complete => return self.line_end(),
            End::NoOutput => "the model had nothing to say".to_owned(),
            End::Interrupted => "interrupted".to_owned(),
            End::Failed { message } => format!("the turn failed: {}", harmless(message)),
            End::Withdrawn => "the message was taken back".to_owned(),
        };
        self.remark(&match end {
            End::Failed { .. } => self.remarks.red(&line),
            _ => self.remarks.yellow(&line),
        })
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if std::mem::take(&mut self.aside) {
            self.line_end()?;
        }
        self.write(text, &harmless(text))
    }

    fn thought(&mut self, text: &str) -> io::Result<()> {
        if !std::mem::replace(&mut self.aside, true) && self.in_line {
            put("\n")?;
        }
        self.write(text, &self.style.dim(&harmless(text)))
    }

    fn write(&mut self, text: &str, shown: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.in_line = !text.ends_with('\n');
        put(shown)
    }

    fn line_end(&mut self) -> io::Result<()> {
        self.aside = false;
        if std::mem::take(&mut self.in_line) { put("\n") } else { Ok(()) }
    }
}
