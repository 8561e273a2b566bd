//! What goes above the dock, row by row: the answer, and beside it what led to it. Pure.

use std::collections::BTreeMap;

use super::terminal::Sink;
use crate::cli::chat::markdown::Markdown;
use crate::cli::chat::phrases;
use crate::cli::chat::questions::Asking;
use crate::cli::chat::show::OpenCall;
use crate::cli::chat::text::{Face, Row, wrap};
use crate::cli::output::harmless;

/// Rows of a running tool's output that are shown; the last one of what follows stays in the dock.
const OUTPUT_ROWS_MAX: usize = 20;

/// Calls whose output is kept apart.
const OUTPUTS_MAX: usize = 64;

/// A plan that the model proposes for approval, in a call.
const PLAN_TOOL: &str = "propose_plan";

/// The page that is being written.
pub(super) struct Page {
    faces: bool,
    columns: usize,
    rows: Vec<(Sink, Row)>,
    answer: Markdown,
    thought: Markdown,
    outputs: BTreeMap<String, Output>,
    voice: Voice,
}

/// Whose words the last rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    Nobody,
    Answer,
    Thought,
}

/// What a running tool prints.
struct Output {
    line: String,
    rows: usize,
}

impl Page {
    /// An empty page. Without `faces` Markdown stays as it is written.
    pub(super) fn new(faces: bool, columns: usize) -> Page {
        Page {
            faces,
            columns,
            rows: Vec::new(),
            answer: Markdown::new(faces),
            thought: Markdown::new(false),
            outputs: BTreeMap::new(),
            voice: Voice::Nobody,
        }
    }

    /// The terminal has so many columns now.
    pub(super) fn resize(&mut self, columns: usize) {
        self.columns = columns;
    }

    /// The rows since the last time.
    pub(super) fn take(&mut self) -> Vec<(Sink, Row)> {
        std::mem::take(&mut self.rows)
    }

    /// What is not complete: changes yet.
    pub(super) fn unfinished(&self) -> Vec<Row> {
        match self.voice {
            Voice::Answer => self.answer.unfinished(self.columns),
            Voice::Thought => self.dimmed(self.thought.unfinished(self.columns), ""),
            Voice::Nobody => {
                let lines = self.outputs.values().filter(|output| !output.line.trim().is_empty());
                lines.map(|output| Row::of(format!("  │ {}", harmless(&output.line)), Face::DIM)).collect()
            }
        }
    }

    /// More of the answer.
    pub(super) fn answer(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.speak(Voice::Answer);
        let rows = self.answer.feed(text, self.columns);
        self.put(Sink::Answer, rows);
    }

    /// More of the reasoning.
    pub(super) fn thought(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.speak(Voice::Thought);
        let rows = self.thought.feed(text, self.columns);
        let rows = self.dimmed(rows, "");
        self.put(Sink::Aside, rows);
    }

    /// The step is complete: nothing more of its text comes.
    pub(super) fn end(&mut self) {
        self.speak(Voice::Nobody);
        self.outputs.clear();
    }

    /// The step failed: what is not complete is void, and so is what stands above.
    pub(super) fn void(&mut self) {
        let rows = self.answer.drop_unfinished(self.columns);
        self.put(Sink::Answer, rows);
        self.thought.drop_unfinished(self.columns);
        self.voice = Voice::Nobody;
        self.remark("(void: this attempt failed)", Face::DIM);
    }

    /// What the user said.
    pub(super) fn said(&mut self, text: &str) {
        self.end();
        self.put(Sink::Aside, vec![Row::default()]);
        let line = |text: &str| Row::of(harmless(&text.replace('\t', "    ")), Face::BOLD);
        let mut prompt = Row::of("> ", Face::BOLD);
        for text in text.lines() {
            let rows = wrap(&line(text), self.columns, &prompt, &Row::plain("  "));
            self.put(Sink::Aside, rows);
            prompt = Row::plain("  ");
        }
    }

    /// A line beside the conversation. It interrupts nobody: what is not complete stays so, below it.
    pub(super) fn remark(&mut self, text: &str, face: Face) {
        for line in text.lines() {
            let indent = Row::plain(" ".repeat(line.len() - line.trim_start_matches(' ').len()));
            let rows = wrap(&Row::of(harmless(line), face), self.columns, &Row::default(), &indent);
            self.put(Sink::Aside, rows);
        }
    }

    /// A tool is called.
    pub(super) fn call(&mut self, name: &str, args: &serde_json::Value) {
        self.speak(Voice::Nobody);
        match args["plan"].as_str().filter(|_| name == PLAN_TOOL) {
            Some(plan) => {
                self.remark("→ the model proposes a plan:", Face::YELLOW);
                let mut markdown = Markdown::new(self.faces);
                let mut rows = markdown.feed(plan, self.columns);
                rows.extend(markdown.finish(self.columns));
                self.put(Sink::Aside, rows);
            }
            None => self.remark(&format!("→ {}", phrases::call(name, args)), Face::YELLOW),
        }
    }

    /// More of what a running tool prints.
    pub(super) fn output(&mut self, call_id: &str, output: &str) {
        self.speak(Voice::Nobody);
        if self.outputs.len() >= OUTPUTS_MAX && !self.outputs.contains_key(call_id) {
            return;
        }
        let running = self.outputs.entry(call_id.to_owned()).or_insert(Output { line: String::new(), rows: 0 });
        let mut lines = Vec::new();
        for piece in output.split_inclusive('\n') {
            running.line.push_str(piece);
            if piece.ends_with('\n') {
                let line = std::mem::take(&mut running.line);
                running.rows += 1;
                match running.rows {
                    ..=OUTPUT_ROWS_MAX => lines.push(Row::plain(harmless(line.trim_end()))),
                    rows if rows == OUTPUT_ROWS_MAX + 1 => lines.push(Row::plain("…")),
                    _ => {}
                }
            }
        }
        // What is not complete is shown in one row; no more of it needs keeping.
        let surplus = running.line.len().saturating_sub(4 * self.columns);
        let surplus = (surplus..=running.line.len()).find(|at| running.line.is_char_boundary(*at)).unwrap_or(0);
        running.line.drain(..surplus);
        let rows = self.dimmed(lines, "  │ ");
        self.put(Sink::Aside, rows);
    }

    /// A tool answered.
    pub(super) fn result(&mut self, call_id: &str, name: &str, result: &serde_json::Value, is_error: bool) {
        self.speak(Voice::Nobody);
        self.outputs.remove(call_id);
        let face = if is_error { Face::RED } else { Face::DIM };
        self.remark(&format!("← {}: {}", harmless(name), phrases::result(result)), face);
    }

    /// A call waits for somebody.
    pub(super) fn open_call(&mut self, call: &OpenCall) {
        self.speak(Voice::Nobody);
        let waits = if call.needs_approval {
            "wants to run and needs your approval"
        } else {
            "is run by the client that declared it: the turn waits for that client to send the result"
        };
        self.remark(&format!("? {} {waits}", phrases::call(&call.name, &call.args)), Face::YELLOW);
    }

    /// A question to the user.
    pub(super) fn question(&mut self, asking: &Asking) {
        self.speak(Voice::Nobody);
        let (question, number, of) = asking.open();
        let count = if of > 1 { format!("({number}/{of}) ") } else { String::new() };
        self.remark(&format!("? {count}{}", question.text), Face::BOLD);
        for (index, choice) in question.options.iter().enumerate() {
            let description = choice.description.as_ref().map_or_else(String::new, |text| format!(" — {text}"));
            self.remark(&format!("  {}. {}{description}", index + 1, choice.label), Face::PLAIN);
        }
        let how = match (question.options.is_empty(), question.many) {
            (true, _) => "answer in your own words",
            (false, false) => "a number, or your own words",
            (false, true) => "one or more numbers, or your own words",
        };
        self.remark(how, Face::DIM);
    }

    /// Somebody else speaks from here on.
    fn speak(&mut self, voice: Voice) {
        if self.voice == voice {
            return;
        }
        match std::mem::replace(&mut self.voice, voice) {
            Voice::Answer => {
                let rows = self.answer.finish(self.columns);
                self.put(Sink::Answer, rows);
            }
            Voice::Thought => {
                let rows = self.thought.finish(self.columns);
                let rows = self.dimmed(rows, "");
                self.put(Sink::Aside, rows);
            }
            Voice::Nobody => {}
        }
    }

    fn dimmed(&self, rows: Vec<Row>, mark: &str) -> Vec<Row> {
        let mark = Row::of(mark, Face::DIM);
        let dim = |row: Row| Row::of(row.painted(false), Face::DIM);
        rows.into_iter().flat_map(|row| wrap(&dim(row), self.columns, &mark, &mark)).collect()
    }

    fn put(&mut self, sink: Sink, rows: Vec<Row>) {
        self.rows.extend(rows.into_iter().map(|row| (sink, row)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(page: &mut Page) -> Vec<String> {
        let text = |(sink, row): (Sink, Row)| format!("{sink:?} {}", row.painted(false));
        page.take().into_iter().map(text).collect()
    }

    fn unfinished(page: &Page) -> Vec<String> {
        page.unfinished().iter().map(|row| row.painted(false)).collect()
    }

    #[test]
    fn thoughts_end_where_the_answer_begins() {
        let mut page = Page::new(true, 40);
        page.thought("Hm, a *greeting*");
        assert_eq!(unfinished(&page), ["Hm, a *greeting*"]);
        page.answer("# Hel");
        assert_eq!(taken(&mut page), ["Aside Hm, a *greeting*"]);
        assert_eq!(unfinished(&page), ["Hel"]);
        page.answer("lo\nyou");
        page.end();
        assert_eq!(taken(&mut page), ["Answer Hello", "Answer you"]);
        assert_eq!(unfinished(&page), Vec::<String>::new());
    }

    #[test]
    fn a_failed_attempt_leaves_its_complete_lines_and_says_that_they_are_void() {
        let mut page = Page::new(true, 40);
        page.answer("one\ntwo");
        page.void();
        assert_eq!(taken(&mut page), ["Answer one", "Aside (void: this attempt failed)"]);
        page.answer("three");
        page.end();
        assert_eq!(taken(&mut page), ["Answer three"]);
    }

    #[test]
    fn a_remark_interrupts_nobody() {
        let mut page = Page::new(true, 40);
        page.answer("```\nlet");
        page.remark("taken back", Face::DIM);
        page.answer(" **x**\n```\nand **y**");
        page.end();
        let rows = taken(&mut page);
        let after = ["Aside taken back", "Answer let **x**"];
        assert_eq!((&rows[1..3], rows.last().unwrap().as_str()), (&after.map(str::to_owned)[..], "Answer and y"));
    }

    #[test]
    fn the_output_of_a_tool_is_shortened() {
        let mut page = Page::new(true, 40);
        page.output("c", "one\ntw");
        assert_eq!(taken(&mut page), ["Aside   │ one"]);
        assert_eq!(unfinished(&page), ["  │ tw"]);
        page.output("c", &"x\n".repeat(30));
        let rows = taken(&mut page);
        assert_eq!((rows.len(), rows.last().unwrap().as_str()), (20, "Aside   │ …"));
        page.output("c", &"ä".repeat(10_000));
        assert!(unfinished(&page)[0].len() < 200);
        page.result("c", "execute", &json!("ok"), false);
        assert_eq!((taken(&mut page), unfinished(&page)), (vec!["Aside ← execute: ok".to_owned()], Vec::new()));
    }

    #[test]
    fn questions_are_numbered() {
        let mut page = Page::new(true, 60);
        let args = json!({ "questions": [
            { "question": "Tea?", "options": [{ "label": "Green", "description": "mild" }, "Black"] },
        ] });
        page.question(&Asking::of(&args).unwrap());
        assert_eq!(
            taken(&mut page),
            ["Aside ? Tea?", "Aside   1. Green — mild", "Aside   2. Black", "Aside a number, or your own words"]
        );
    }

    #[test]
    fn a_plan_is_read_as_markdown() {
        let mut page = Page::new(true, 60);
        page.call("propose_plan", &json!({ "plan": "# Plan\n- **one**" }));
        assert_eq!(taken(&mut page), ["Aside → the model proposes a plan:", "Aside Plan", "Aside • one"]);
        page.call("look", &json!({ "plan": "x" }));
        assert_eq!(taken(&mut page), ["Aside → look(plan: \"x\")"]);
    }
}
