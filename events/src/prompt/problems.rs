//! Tells what a provider would refuse in a prompt. Written apart from the repair, so that one can test the other.

use std::collections::BTreeSet;

use crate::message::{Message, Role};
use crate::model::Prompt;
use crate::part::Part;

/// Everything that some provider would refuse, in words; empty for a valid prompt.
pub fn problems(prompt: &Prompt) -> Vec<String> {
    let mut found = Vec::new();
    if prompt.system.as_ref().is_some_and(|text| text.trim().is_empty()) {
        found.push("the instructions are blank".to_owned());
    }
    let mut names = BTreeSet::new();
    for tool in prompt.tools.iter().filter(|tool| !names.insert(&tool.name)) {
        found.push(format!("two tools are named {:?}", tool.name));
    }
    match prompt.messages.last().map(|message| message.role) {
        Some(Role::User | Role::Tool) => {}
        Some(role) => found.push(format!("the conversation ends with a message of role {role:?}")),
        None => found.push("the conversation is empty".to_owned()),
    }
    let first = prompt.messages.iter().find(|message| message.role != Role::System);
    if let Some(first) = first.filter(|message| message.role != Role::User) {
        found.push(format!("the conversation begins with a message of role {:?}", first.role));
    }
    let mut open = BTreeSet::new();
    for message in &prompt.messages {
        if message.role != Role::Tool {
            found.extend(open.iter().map(|id| format!("call {id:?} is not answered before message {}", message.id)));
            open.clear();
        }
        match message.role {
            Role::Tool => in_answers(message, &mut open, &mut found),
            Role::Assistant => in_model_output(message, &mut open, &mut found),
            Role::User | Role::System => in_words(message, &mut found),
        }
    }
    found.extend(open.iter().map(|id| format!("call {id:?} is not answered before the end")));
    found
}

fn in_answers(message: &Message, open: &mut BTreeSet<String>, found: &mut Vec<String>) {
    if message.parts.is_empty() {
        found.push(format!("message {} is empty", message.id));
    }
    for (index, part) in message.parts.iter().enumerate() {
        match part {
            // Files of a result, or words in their place.
            Part::File { .. } | Part::Text { .. } if index > 0 => {}
            Part::ToolResult { call_id, provider_executed: false, .. } => {
                if !open.remove(call_id) {
                    found.push(format!("message {} answers {call_id:?}, which is no open call", message.id));
                }
            }
            other => found.push(format!("message {} of role Tool holds {other:?}", message.id)),
        }
    }
}

fn in_model_output(message: &Message, open: &mut BTreeSet<String>, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    let mut at_provider = BTreeSet::new();
    let mut dangling = false;
    let mut spoken = false;
    for part in &message.parts {
        match part {
            Part::Text { text } if text.trim().is_empty() => {
                found.push(format!("message {} has blank text", message.id))
            }
            Part::Reasoning { text, metadata: None } if text.trim().is_empty() => {
                found.push(format!("message {} has blank reasoning", message.id));
            }
            Part::ToolCall { call_id, provider_executed, .. } => {
                if !seen.insert(call_id) {
                    found.push(format!("message {} calls {call_id:?} twice", message.id));
                } else if *provider_executed {
                    at_provider.insert(call_id);
                } else {
                    open.insert(call_id.clone());
                }
            }
            Part::ToolResult { call_id, provider_executed: true, .. } if at_provider.remove(call_id) => {}
            Part::ToolResult { call_id, .. } => {
                found.push(format!("message {} holds a result of {call_id:?} without its call", message.id));
            }
            _ => {}
        }
        match part {
            Part::Reasoning { .. } => dangling = true,
            Part::Source { .. } => {}
            _ => (spoken, dangling) = (true, false),
        }
    }
    found.extend(at_provider.iter().map(|id| format!("message {} lacks the provider's result of {id:?}", message.id)));
    if !spoken {
        found.push(format!("message {} says nothing", message.id));
    }
    if dangling {
        found.push(format!("message {} ends in reasoning", message.id));
    }
}

fn in_words(message: &Message, found: &mut Vec<String>) {
    let mut spoken = false;
    for part in &message.parts {
        match part {
            Part::Text { text } if text.trim().is_empty() => {
                found.push(format!("message {} has blank text", message.id))
            }
            Part::Text { .. } | Part::File { .. } | Part::ContextFile { .. } => spoken = true,
            Part::Source { .. } => {}
            Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => {
                found.push(format!("message {} of role {:?} holds {part:?}", message.id, message.role));
            }
        }
    }
    if !spoken {
        found.push(format!("message {} says nothing", message.id));
    }
}
