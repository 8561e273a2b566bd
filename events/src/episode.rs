//! From the streamed pieces of an attempt to the parts of a message.
//!
//! Parts stand in the order of their first piece.
//! - Text deltas join while no other part begins between them; reasoning deltas likewise.
//! - Argument deltas join per call, wherever they come. A whole call takes the place of its deltas; a second whole call of
//!   the same id, or a second result, is skipped.
//! - A whole text or reasoning part right after deltas of its kind, with the same text, is their final form. So is a whole
//!   reasoning part without text, which brings what the provider signs its reasoning with. Any other whole part stands
//!   for itself.
//! - What a running tool prints is never part of a message.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::limits::VALUE_LEVELS_MAX;
use crate::part::{LivePart, Part, nests_too_deeply};

/// The parts of a finished answer: deltas joined, whole parts in place. A call without any arguments has `{}`.
/// Fails where a call's arguments are not complete JSON or nest too deeply, naming the call.
pub fn complete<'a>(pieces: impl IntoIterator<Item = &'a LivePart>) -> Result<Vec<Part>, String> {
    Assembly::of(pieces)
        .slots
        .into_iter()
        .map(|slot| match slot {
            Slot::Call { call_id, name, args } => {
                let args = if args.trim().is_empty() { Ok(Value::Object(Map::new())) } else { arguments(&args) };
                args.map(|args| call(call_id.clone(), name, args))
                    .map_err(|problem| format!("the arguments of call {call_id:?} {problem}"))
            }
            Slot::Text(text) => Ok(Part::Text { text }),
            Slot::Reasoning(text) => Ok(Part::Reasoning { text, metadata: None }),
            Slot::Whole(part) => Ok(part),
        })
        .collect()
}

/// The usable parts of an answer that was cut: as `complete`, but calls without complete arguments are dropped (none at
/// all are not complete here, more may have been on the way), and results whose call is not there go with them. Blank
/// text is dropped; nothing is left where nothing is `usable`.
pub fn interrupted<'a>(pieces: impl IntoIterator<Item = &'a LivePart>) -> Vec<Part> {
    let mut calls = BTreeSet::new();
    let parts: Vec<Part> = Assembly::of(pieces)
        .slots
        .into_iter()
        .filter_map(|slot| match slot {
            Slot::Call { call_id, name, args } => Some(call(call_id, name, arguments(&args).ok()?)),
            Slot::Text(text) => Some(Part::Text { text }),
            Slot::Reasoning(text) => Some(Part::Reasoning { text, metadata: None }),
            Slot::Whole(part) => Some(part),
        })
        .filter(|part| match part {
            Part::Text { text } => !text.trim().is_empty(),
            Part::ToolCall { call_id, .. } => {
                calls.insert(call_id.clone());
                true
            }
            Part::ToolResult { call_id, .. } => calls.contains(call_id),
            Part::Reasoning { .. } | Part::Source { .. } | Part::File { .. } | Part::ContextFile { .. } => true,
        })
        .collect();
    if usable(&parts) { parts } else { Vec::new() }
}

/// Whether parts hold anything usable: a call, a file, a source or text that is not blank. Reasoning alone does not count.
pub fn usable(parts: &[Part]) -> bool {
    parts.iter().any(|part| match part {
        Part::Text { text } => !text.trim().is_empty(),
        Part::ToolCall { .. } | Part::Source { .. } | Part::File { .. } | Part::ContextFile { .. } => true,
        Part::Reasoning { .. } | Part::ToolResult { .. } => false,
    })
}

fn arguments(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value) if nests_too_deeply(&value) => Err(format!("nest deeper than {VALUE_LEVELS_MAX} levels")),
        Ok(value) => Ok(value),
        Err(problem) => Err(format!("are not complete JSON: {problem}")),
    }
}

fn call(call_id: String, name: String, args: Value) -> Part {
    Part::ToolCall { call_id, name, args, provider_executed: false, metadata: None }
}

/// A part in the making.
enum Slot {
    Text(String),
    Reasoning(String),
    Call { call_id: String, name: String, args: String },
    Whole(Part),
}

/// The parts in the making, and where each call stands.
#[derive(Default)]
struct Assembly {
    slots: Vec<Slot>,
    calls: BTreeMap<String, usize>,
    answered: BTreeSet<String>,
}

impl Assembly {
    fn of<'a>(pieces: impl IntoIterator<Item = &'a LivePart>) -> Assembly {
        let mut assembly = Assembly::default();
        for piece in pieces {
            match piece {
                LivePart::TextDelta { text } => assembly.text(text),
                LivePart::ReasoningDelta { text } => assembly.reasoning(text),
                LivePart::ToolArgsDelta { call_id, name, args } => assembly.args(call_id, name, args),
                LivePart::ToolOutputDelta { .. } => {}
                LivePart::Whole(part) => assembly.whole(part),
            }
        }
        assembly
    }

    fn text(&mut self, more: &str) {
        match self.slots.last_mut() {
            Some(Slot::Text(text)) => text.push_str(more),
            _ if more.is_empty() => {}
            _ => self.slots.push(Slot::Text(more.to_owned())),
        }
    }

    fn reasoning(&mut self, more: &str) {
        match self.slots.last_mut() {
            Some(Slot::Reasoning(text)) => text.push_str(more),
            _ if more.is_empty() => {}
            _ => self.slots.push(Slot::Reasoning(more.to_owned())),
        }
    }

    fn args(&mut self, id: &str, tool: &str, more: &str) {
        let index = *self.calls.entry(id.to_owned()).or_insert_with(|| {
            self.slots.push(Slot::Call { call_id: id.to_owned(), name: String::new(), args: String::new() });
            self.slots.len() - 1
        });
        if let Slot::Call { name, args, .. } = &mut self.slots[index] {
            if name.is_empty() {
                tool.clone_into(name);
            }
            args.push_str(more);
        }
    }

    fn whole(&mut self, part: &Part) {
        let mut part = part.clone();
        match (&mut part, self.slots.last_mut()) {
            (Part::Text { text }, Some(Slot::Text(deltas))) if text == deltas => {
                self.slots.pop();
            }
            (Part::Reasoning { text, .. }, Some(Slot::Reasoning(deltas))) if text.is_empty() || text == deltas => {
                *text = std::mem::take(deltas);
                self.slots.pop();
            }
            (Part::ToolCall { call_id, .. }, _) => {
                if let Some(index) = self.calls.get(call_id.as_str()) {
                    if matches!(self.slots[*index], Slot::Call { .. }) {
                        self.slots[*index] = Slot::Whole(part);
                    }
                    return;
                }
                self.calls.insert(call_id.clone(), self.slots.len());
            }
            (Part::ToolResult { call_id, .. }, _) if !self.answered.insert(call_id.clone()) => return,
            _ => {}
        }
        self.slots.push(Slot::Whole(part));
    }
}

#[cfg(test)]
mod tests;
