//! Puts what a turn shows where it belongs: a terminal sees everything as it comes, a pipe gets final answers alone.

use std::io::{self, IsTerminal as _};

use serde_json::{Value, json};

use super::follow::{End, Show};
use crate::cli::output::{Style, harmless, note, put, shortened};

/// Characters of a tool's result that are shown.
const RESULT_CHARACTERS: usize = 200;

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
    reasoning: bool,
}

impl Screen {
    pub(super) fn new(json: bool) -> Screen {
        let kind = match (json, io::stdout().is_terminal()) {
            (true, _) => Kind::Json,
            (false, true) => Kind::Terminal,
            (false, false) => Kind::Pipe,
        };
        Screen { kind, style: Style::of_stdout(), remarks: Style::of_stderr(), in_line: false, reasoning: false }
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
            (Kind::Json, _) => Ok(()),
            (Kind::Pipe, Show::Text(_) | Show::Reasoning(_) | Show::ToolOutput(_) | Show::Void) => Ok(()),
            (Kind::Pipe, Show::Answer { text, .. }) => put(&format!("{text}\n")),
            (Kind::Terminal, Show::Answer { text, streamed }) => {
                self.text(&text[*streamed..])?;
                self.line_end()
            }
            (Kind::Terminal, Show::Text(text)) => self.text(text),
            (Kind::Terminal, Show::Reasoning(text)) => self.thought(text),
            (Kind::Terminal, Show::ToolOutput(output)) => self.thought(output),
            (Kind::Terminal, Show::Void) => {
                self.line_end()?;
                self.remark(&self.remarks.dim("(void: this attempt failed)"))
            }
            (_, Show::Waits) => self.remark(&self.remarks.dim("(waits for the answer that is under way)")),
            (_, Show::ToolCall { name }) => self.remark(&self.remarks.yellow(&format!("→ {}", harmless(name)))),
            (_, Show::ToolResult { name, result, is_error }) => {
                let line = format!("← {}: {}", harmless(name), shortened(result, RESULT_CHARACTERS));
                self.remark(&if *is_error { self.remarks.red(&line) } else { self.remarks.dim(&line) })
            }
            (_, Show::Retry { attempt, delay_ms, error }) => {
                let wait = match delay_ms {
                    ..1000 => format!("{delay_ms} ms"),
                    _ => format!("{}.{} s", delay_ms / 1000, delay_ms % 1000 / 100),
                };
                let error = harmless(error.trim_end_matches('.'));
                let line = format!("attempt {attempt} failed: {error}; the next one in {wait}");
                self.remark(&self.remarks.yellow(&line))
            }
            (_, Show::End(end)) => self.end(end),
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

    fn end(&mut self, end: &End) -> io::Result<()> {
        let line = match end {
            End::Complete => return self.line_end(),
            End::NoOutput => "the model had nothing to say".to_owned(),
            End::Interrupted => "interrupted".to_owned(),
            End::Failed { message } => format!("the turn failed: {}", harmless(message)),
            End::Withdrawn => "the message was taken back".to_owned(),
            End::ActionRequired { tools } => {
                let tools = harmless(&tools.join(", "));
                format!("the chat waits for a client to run or approve: {tools}. This terminal cannot")
            }
        };
        self.remark(&match end {
            End::Failed { .. } | End::ActionRequired { .. } => self.remarks.red(&line),
            _ => self.remarks.yellow(&line),
        })
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if std::mem::take(&mut self.reasoning) {
            self.line_end()?;
        }
        self.write(text, &harmless(text))
    }

    fn thought(&mut self, text: &str) -> io::Result<()> {
        self.reasoning = true;
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
        self.reasoning = false;
        if std::mem::take(&mut self.in_line) { put("\n") } else { Ok(()) }
    }
}
