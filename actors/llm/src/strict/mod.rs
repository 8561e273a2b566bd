//! Readers of requests that refuse what providers refuse. Written apart from the encoders, so that one can test the other.

pub(crate) mod anthropic;
pub(crate) mod openai_chat;
pub(crate) mod openai_responses;
mod reader;
#[cfg(test)]
mod tests;

use serde_json::Value;
use verbatim_events::event::RequestRecipe;
use verbatim_events::model::Prompt;

/// A protocol, a model of one of its families, and the effort that is asked of it.
const MODELS: [(&str, u32, &str, Option<&str>); 6] = [
    (crate::anthropic::PROTOCOL, crate::anthropic::ENCODER, "claude-sonnet-4-5", Some("low")),
    (crate::anthropic::PROTOCOL, crate::anthropic::ENCODER, "claude-3-5-haiku-latest", None),
    (crate::openai_chat::PROTOCOL, crate::openai_chat::ENCODER, "gpt-5.2", None),
    (crate::openai_responses::PROTOCOL, crate::openai_responses::ENCODER, "gpt-5.2", Some("high")),
    (crate::openai_responses::PROTOCOL, crate::openai_responses::ENCODER, "gpt-4o", None),
    (crate::demo::PROTOCOL, crate::demo::ENCODER, "demo", None),
];

/// What a request may put out.
const OUTPUT_TOKENS: u64 = 8_000;

/// Everything that a provider of any protocol would refuse of a prompt, in words; empty for a valid one. `recipe` is one that
/// the conversation's requests were made by: what a provider gave goes back only to itself, so its name and its tools count.
pub fn refusals(prompt: &Prompt, recipe: Option<&RequestRecipe>) -> Vec<String> {
    let mut found = Vec::new();
    for (protocol, encoder, model, effort) in MODELS {
        let same = recipe.filter(|recipe| recipe.protocol == protocol);
        let recipe = RequestRecipe {
            protocol: protocol.to_owned(),
            provider: recipe.map_or_else(|| "any".to_owned(), |recipe| recipe.provider.clone()),
            provider_model: model.to_owned(),
            max_output_tokens: Some(OUTPUT_TOKENS),
            effort: effort.map(str::to_owned),
            provider_tools: same.map_or_else(Vec::new, |recipe| recipe.provider_tools.clone()),
            encoder,
            ..RequestRecipe::default()
        };
        let Some(request) = crate::encode_with(&recipe, prompt) else {
            found.push(format!("{protocol}, {model}: it cannot be written"));
            continue;
        };
        let problems = match serde_json::from_slice(&crate::files::legible(&request.body)) {
            Ok(body) => problems(protocol, &body),
            Err(error) => vec![format!("the body is no JSON: {error}")],
        };
        found.extend(problems.into_iter().map(|problem| format!("{protocol}, {model}: {problem}")));
    }
    found
}

/// Everything that a provider of this protocol would refuse in a request's body.
fn problems(protocol: &str, body: &Value) -> Vec<String> {
    match protocol {
        crate::anthropic::PROTOCOL => anthropic::problems(body),
        crate::openai_chat::PROTOCOL => openai_chat::problems(body),
        crate::openai_responses::PROTOCOL => openai_responses::problems(body),
        // The demo model asks for something to answer, and for nothing else.
        _ if body["messages"].as_array().is_none_or(Vec::is_empty) => vec!["no messages".to_owned()],
        _ => Vec::new(),
    }
}
