//! `ask_user_question`: the turn ends with questions that have ready answers; the user's next message is the answer.

use serde_json::{Value, json};
use verbatim_events::event::ToolDefinition;
use verbatim_events::tool::ToolAnswer;

pub(super) const NAME: &str = "ask_user_question";

/// Questions in one call.
const QUESTIONS_MAX: usize = 8;
/// Options of one question.
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=4;

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME.to_owned(),
        description:
            "Asks the user when the goal is unclear or a choice is theirs to make. Ends your turn; the answer is \
                      the user's next message. Call it alone. Do not offer \"other\" as an option: the user can always \
                      answer in words of their own."
                .to_owned(),
        parameters: json!({
            "type": "object",
            "required": ["questions"],
            "additionalProperties": false,
            "properties": {
                "questions": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": QUESTIONS_MAX,
                    "items": {
                        "type": "object",
                        "required": ["question", "options"],
                        "additionalProperties": false,
                        "properties": {
                            "header": { "type": "string", "maxLength": 80, "description": "A label of a few words." },
                            "question": { "type": "string", "minLength": 1, "maxLength": 2000 },
                            "options": {
                                "type": "array",
                                "minItems": OPTIONS.start(),
                                "maxItems": OPTIONS.end(),
                                "items": {
                                    "type": "object",
                                    "required": ["label"],
                                    "additionalProperties": false,
                                    "properties": {
                                        "label": { "type": "string", "minLength": 1, "maxLength": 200 },
                                        "description": { "type": "string", "maxLength": 1000 }
                                    }
                                }
                            },
                            "multiple": { "type": "boolean", "description": "More than one option may be chosen." }
                        }
                    }
                }
            }
        }),
    }
}

/// The call itself shows the questions; its answer says only that they were put.
pub(super) fn ask(args: &Value) -> ToolAnswer {
    let questions = args.get("questions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, question) in questions.iter().enumerate() {
        let options = question.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let labels: Vec<&str> = options.iter().filter_map(|option| option["label"].as_str().map(str::trim)).collect();
        if labels.iter().enumerate().any(|(at, label)| label.is_empty() || labels[..at].contains(label)) {
            return ToolAnswer::error(format!("the options of question {} need labels that differ", index + 1));
        }
    }
    ToolAnswer::ok(json!({ "status": "asked", "questions": questions.len() }))
}
