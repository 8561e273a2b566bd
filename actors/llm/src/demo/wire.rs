//! The demo model's own protocol: one JSON object, first the messages, each on a line of its own, then the question, which
//! says where the last of them begins that the user spoke. So the model reads the end of a long conversation and not the
//! whole.

use serde::{Deserialize, Serialize};
use verbatim_events::event::RequestRecipe;
use verbatim_events::form::Form;
use verbatim_events::message::{Message, Role};
use verbatim_events::model::Prompt;
use verbatim_events::part::Part;

use super::{ENCODER, PROTOCOL};
use crate::body::{Written, form_key};
use crate::protocol::Protocol;

/// What a body begins with.
const OPENING: &[u8] = b"{\"messages\":[";

/// What the messages end with.
const CLOSING: u8 = b']';

/// The flag of a message with which a user says something.
const SPOKEN: u8 = 1;

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

#[derive(Serialize)]
struct LineRef<'a> {
    role: Role,
    parts: &'a [Part],
}

/// A message.
#[derive(Deserialize)]
pub(super) struct Line {
    pub role: Role,
    pub parts: Vec<Part>,
}

#[derive(Serialize)]
struct QuestionRef<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
    tools: Vec<&'a str>,
    asked_at: usize,
    number: usize,
}

/// What is asked of the model.
#[derive(Deserialize)]
pub(super) struct Question {
    pub max_output_tokens: Option<u64>,
    /// Where in the body the line begins with which the user spoke last; where the last line begins if none did.
    asked_at: usize,
    /// How many times the user spoke.
    pub number: usize,
}

/// A request as far as an answer needs it.
pub(super) struct Asked<'b> {
    pub question: Question,
    /// The user's last message and what followed it.
    pub turn: Vec<Line>,
    /// The conversation up to and with that message, in bytes.
    pub answered: &'b [u8],
    /// The messages before that one, in bytes.
    before: &'b [u8],
}

impl Asked<'_> {
    /// What was said before the user's last message.
    pub fn earlier(&self) -> Written<Vec<Line>> {
        let lines = self.before.strip_prefix(OPENING).unwrap_or_default();
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(without_comma(line))).collect()
    }
}

impl Protocol for Lines {
    const NAME: &'static str = PROTOCOL;
    const ENCODER: u32 = ENCODER;

    fn body(recipe: &RequestRecipe, prompt: &Prompt) -> Result<Vec<u8>, serde_json::Error> {
        let key = form_key([PROTOCOL]);
        let (mut body, mut number, mut asked_at) = (Vec::from(OPENING), 0, None);
        for (index, message) in prompt.messages.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.push(b'\n');
            let at = body.len();
            let flags = message.form.with(
                key,
                || line(message),
                |form| {
                    body.extend_from_slice(&form.bytes);
                    form.flags
                },
            )?;
            if flags & SPOKEN != 0 {
                (number, asked_at) = (number + 1, Some(at));
            }
        }
        body.push(b'\n');
        let question_at = body.len();
        let question = QuestionRef {
            model: &recipe.provider_model,
            max_output_tokens: recipe.max_output_tokens,
            effort: recipe.effort.as_deref(),
            system: prompt.system.as_deref(),
            tools: prompt.tools.iter().map(|tool| tool.name.as_str()).collect(),
            asked_at: asked_at.unwrap_or(question_at),
            number,
        };
        body.push(CLOSING);
        serde_json::to_writer(&mut body, &question)?;
        body[question_at + 1] = b',';
        Ok(body)
    }
}

fn line(message: &Message) -> Written<Form> {
    let bytes = serde_json::to_vec(&LineRef { role: message.role, parts: &message.parts })?;
    let is_spoken = message.role == Role::User && !text_of(&message.parts).is_empty();
    Ok(Form { bytes, mark: None, flags: if is_spoken { SPOKEN } else { 0 } })
}

/// Reads a request from its end.
pub(super) fn read(body: &[u8]) -> Written<Asked<'_>> {
    // No line breaks stand inside a line: JSON has other words for them.
    let question_at = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let fields = body[question_at..].strip_prefix(&[CLOSING, b',']).unwrap_or_default();
    let question: Question = serde_json::from_slice(&[b"{".as_slice(), fields].concat())?;
    let (before, turn) = body[..question_at].split_at(question.asked_at.min(question_at));
    let lines = turn.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answered = before.len() + lines.clone().next().map_or(0, |asked| without_comma(asked).len());
    let turn = lines.map(|line| serde_json::from_slice(without_comma(line))).collect::<Written<Vec<Line>>>()?;
    Ok(Asked { question, turn, answered: &body[..answered], before })
}

fn without_comma(line: &[u8]) -> &[u8] {
    line.strip_suffix(b",").unwrap_or(line)
}

/// The text of a message, its parts a line apart.
pub(super) fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}
