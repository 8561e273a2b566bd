//! What the demo model says: a function of the conversation alone.

use serde_json::Value;
use verbatim_events::message::Role;
use verbatim_events::part::Part;

use super::directive::{Directives, parse};
use super::wire::{Line, text_of};

/// What a model that is asked for help answers.
pub(super) const HELP: &str = "I am the demo model: I need no network and no key, and the same conversation always gets \
the same answer. Put any of these directives into a message to see how a chat behaves:\n\
\n\
- `[[slow 50]]` waits 50 ms before each word.\n\
- `[[tokens 200]]` answers with exactly 200 words.\n\
- `[[say any text]]` answers exactly that text.\n\
- `[[reasoning]]` thinks aloud first.\n\
- `[[tool NAME {\"key\": 1}]]` calls a tool and answers with its result.\n\
- `[[fail 503]]` or `[[fail 429 retry-after 2]]` fails with that status.\n\
- `[[cut 10]]` breaks off after 10 words.\n\
- `[[stall 10]]` falls silent after 10 words and never ends.\n\
- `[[empty]]` answers nothing.\n\
- `[[refuse]]` refuses, as a content filter does.\n\
\n\
`times N` at the end of fail, cut or stall lets the first N attempts go wrong and the next one succeed.";

/// Words that say little about what a message is about.
const COMMON_WORDS: [&str; 40] = [
    "about", "again", "also", "answer", "because", "been", "could", "does", "from", "have", "help", "here", "into",
    "just", "know", "like", "make", "more", "please", "should", "some", "tell", "than", "that", "their", "them",
    "then", "there", "these", "they", "this", "want", "were", "what", "when", "where", "which", "with", "would",
    "your",
];
const TOPICS_MAX: usize = 5;
const TOPIC_MIN_CHARACTERS: usize = 4;
/// A message of no more words that holds "help" asks for it.
const HELP_WORDS_MAX: usize = 6;
/// How many of the user's messages a summary tells of.
const SUMMARY_MESSAGES_MAX: usize = 5;
/// How much it tells of each.
const SUMMARY_WORDS_MAX: usize = 12;
/// How much of a tool's result is told, in characters.
const RESULT_MAX_CHARACTERS: usize = 500;

/// What the model will do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub directives: Directives,
    /// What it thinks aloud.
    pub reasoning: Option<String>,
    /// What it says.
    pub text: String,
    /// The tools it calls.
    pub calls: Vec<(String, Value)>,
}

/// The answer to the `number`th thing that a user said, and to what this turn's steps brought since.
pub(super) fn plan(turn: &[Line], number: usize) -> Plan {
    let (asked, steps) =
        turn.split_first().map_or((String::new(), turn), |(asked, steps)| (text_of(&asked.parts), steps));
    let (mut directives, said) = parse(&asked);
    let results: Vec<String> = steps.iter().flat_map(|line| &line.parts).filter_map(told).collect();
    let calls = if results.is_empty() { std::mem::take(&mut directives.tools) } else { Vec::new() };
    let text = if !calls.is_empty() || directives.empty || directives.refuse {
        String::new()
    } else if let Some(text) = &directives.say {
        text.clone()
    } else if results.is_empty() {
        reply(&said, number)
    } else {
        results.join("\n")
    };
    let text = directives.tokens.filter(|_| !text.is_empty()).map_or(text.clone(), |count| of_length(&text, count));
    let reasoning = directives.reasoning.then(|| thought(&said));
    Plan { directives, reasoning, text, calls }
}

/// The summary of what was said, from its beginnings and ends; what a user told the model to do is no part of it.
pub(super) fn summary(lines: &[Line]) -> String {
    let said: Vec<String> = lines
        .iter()
        .filter(|line| line.role == Role::User)
        .map(|line| parse(&text_of(&line.parts)).1)
        .filter(|said| !said.is_empty())
        .collect();
    let newest = &said[said.len().saturating_sub(SUMMARY_MESSAGES_MAX)..];
    let told: Vec<String> = newest.iter().map(|said| format!("- {}", shortened(said))).collect();
    format!(
        "Summary of the conversation so far: there were {} messages, {} of them from the user, who said, among other \
         things:\n{}",
        lines.len(),
        said.len(),
        told.join("\n")
    )
}

/// The first words of a text.
fn shortened(said: &str) -> String {
    let mut words = said.split_whitespace();
    let first: Vec<&str> = words.by_ref().take(SUMMARY_WORDS_MAX).collect();
    let more = if words.next().is_some() { " …" } else { "" };
    format!("{}{more}", first.join(" "))
}

fn told(part: &Part) -> Option<String> {
    let Part::ToolResult { name, result, is_error, .. } = part else { return None };
    let text = match result {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let short: String = text.chars().take(RESULT_MAX_CHARACTERS).collect();
    let more = if short.len() < text.len() { " …" } else { "" };
    let verb = if *is_error { "failed" } else { "answered" };
    Some(format!("The tool {name} {verb}: {short}{more}"))
}

fn reply(said: &str, number: usize) -> String {
    let words = said.split_whitespace().count();
    let asks_help = words <= HELP_WORDS_MAX && topic_words(said).any(|word| word == "help");
    if asks_help {
        return HELP.to_owned();
    }
    let about = match topics(said) {
        Some(topics) if said.contains('?') => format!("Good question about {topics}."),
        Some(topics) => format!("I read what you wrote about {topics}."),
        None if words == 0 => "I am here.".to_owned(),
        None => format!("You said: {said}."),
    };
    let counted = if words == 1 { "1 word".to_owned() } else { format!("{words} words") };
    format!(
        "{about} This is message {number} from you in this chat, and it has {counted}. I am the demo model, so I do not \
         really know the answer, but I always give the same one, without a network or a key. Say help to see what I can do."
    )
}

fn thought(said: &str) -> String {
    match topics(said) {
        Some(topics) => format!("The message is about {topics}. A short and friendly answer will do."),
        None => "There is not much to go by. A short and friendly answer will do.".to_owned(),
    }
}

fn topic_words(said: &str) -> impl Iterator<Item = String> {
    said.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The words that a message seems to be about, as they would be said.
fn topics(said: &str) -> Option<String> {
    let mut topics: Vec<String> = Vec::new();
    let long = |word: &String| word.chars().count() >= TOPIC_MIN_CHARACTERS && !COMMON_WORDS.contains(&word.as_str());
    for word in topic_words(said).filter(long) {
        if topics.len() < TOPICS_MAX && !topics.contains(&word) {
            topics.push(word);
        }
    }
    let last = topics.pop()?;
    Some(if topics.is_empty() { last } else { format!("{} and {last}", topics.join(", ")) })
}

/// The text, repeated or cut to so many words.
fn of_length(text: &str, count: usize) -> String {
    text.split_whitespace().cycle().take(count).collect::<Vec<_>>().join(" ")
}
