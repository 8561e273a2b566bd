//! Asks the model for a summary of the history, heard as it comes like any answer.

use verbatim_events::chat::COMPACTION_TRIES_MAX;
use verbatim_events::command::{Command, Compacted, Step};
use verbatim_events::episode;
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::limits::Limits;
use verbatim_events::message::FinishReason;
use verbatim_events::model::ModelFinished;
use verbatim_events::part::{LivePart, Part};

use crate::attempt::Scope;
use crate::attempt::generate::{Called, call};
use crate::plan::SummaryCall;

pub(super) async fn run(scope: &Scope, work: SummaryCall) -> Option<Command> {
    let SummaryCall { call: model_call, source, has_tools, context_tokens, window_tokens, threshold_percent } = work;
    let Called { model, ended, .. } = call(scope, model_call).await?;
    let usage = ended.as_ref().ok().and_then(|finished| finished.usage);
    let frames = scope.channel.parts_after(scope.attempt_id, 0);
    let summarised = ended.and_then(|finished| read(frames.iter().map(|frame| &frame.part.part), &finished));
    Some(match summarised {
        Ok(summary) => Command::CommitStep {
            attempt_id: scope.attempt_id,
            step: Step::Compacted(Compacted {
                summary,
                source,
                cost_micros: model.settings.cost_micros(usage.as_ref()),
                model: model.settings.name,
                usage,
                context_tokens,
                window_tokens,
                threshold_percent,
            }),
        },
        Err(failed) => scope.not_summarised(failed, has_tools),
    })
}

/// The text of a whole summary.
fn read<'a>(pieces: impl Iterator<Item = &'a LivePart>, finished: &ModelFinished) -> Result<String, CallError> {
    let parts = episode::complete(pieces).unwrap_or_default();
    // A model that calls a tool here would call it again: the next try does not tell it of any.
    if finished.finish_reason == FinishReason::ToolCalls || parts.iter().any(is_call) {
        return Err(ChatError::retryable(ErrorKind::Config, "The model called a tool instead.").into());
    }
    match finished.finish_reason {
        FinishReason::Length => {
            return Err(
                ChatError::retryable(ErrorKind::Generic, "The summary grew longer than the model may write.").into()
            );
        }
        FinishReason::ContentFilter => {
            let message =
                finished.refusal.clone().unwrap_or_else(|| "The provider's filter refused to write it.".to_owned());
            return Err(ChatError::terminal(ErrorKind::ContentFilter, message).into());
        }
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Interrupted | FinishReason::Unknown => {}
    }
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text } => Some(text.trim()),
            _ => None,
        })
        .filter(|text| !text.is_empty())
        .collect();
    if texts.is_empty() {
        return Err(ChatError::retryable(ErrorKind::Generic, "The summary is empty.").into());
    }
    if finished.finish_reason != FinishReason::Stop {
        return Err(ChatError::retryable(ErrorKind::Generic, "The model did not say that its summary is whole.").into());
    }
    Ok(texts.join("\n\n"))
}

fn is_call(part: &Part) -> bool {
    matches!(part, Part::ToolCall { provider_executed: false, .. })
}

impl Scope {
    /// The command after a summary that failed. What was refused with tools is tried once more without them; else a few
    /// tries in a row are enough, and then a user must act.
    fn not_summarised(&self, failed: CallError, has_tools: bool) -> Command {
        let CallError { error, retry_after_ms, refuses_files } = failed;
        let message = format!("The conversation could not be summarised. {}", error.message);
        let error = ChatError { message, ..error };
        let tries = (self.tries.max(1) - 1) % COMPACTION_TRIES_MAX + 1;
        if error.kind == ErrorKind::Config && has_tools && tries < COMPACTION_TRIES_MAX {
            let (attempt_id, partial) = (self.attempt_id, self.shown());
            return Command::ScheduleRetry {
                attempt_id,
                error: ChatError { retryable: true, ..error },
                delay_ms: 0,
                partial,
                files_refused: refuses_files,
            };
        }
        let limits = self.deps.limits.as_ref();
        let limits = Limits { attempts_max: limits.attempts_max.min(COMPACTION_TRIES_MAX), ..limits.clone() };
        self.failed_after(tries, &limits, CallError { error, retry_after_ms, refuses_files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(finish_reason: FinishReason) -> ModelFinished {
        ModelFinished { finish_reason, usage: None, response_id: None, refusal: None }
    }

    fn kind_of(pieces: &[LivePart], reason: FinishReason) -> Result<String, (ErrorKind, bool)> {
        read(pieces.iter(), &finished(reason)).map_err(|failed| (failed.error.kind, failed.error.retryable))
    }

    #[test]
    fn only_a_whole_text_is_a_summary() {
        let text = |text: &str| LivePart::TextDelta { text: text.to_owned() };
        let thought = LivePart::ReasoningDelta { text: "Hm.".to_owned() };
        let call = LivePart::ToolArgsDelta { call_id: "a".to_owned(), name: "look".to_owned(), args: "{}".to_owned() };
        let said = [thought.clone(), text(" They spoke"), text(" of monads. ")];
        assert_eq!(kind_of(&said, FinishReason::Stop), Ok("They spoke of monads.".to_owned()));
        assert_eq!(kind_of(&said, FinishReason::Length), Err((ErrorKind::Generic, true)));
        assert_eq!(kind_of(&said, FinishReason::Unknown), Err((ErrorKind::Generic, true)));
        assert_eq!(kind_of(&said, FinishReason::ContentFilter), Err((ErrorKind::ContentFilter, false)));
        assert_eq!(kind_of(&[thought], FinishReason::Stop), Err((ErrorKind::Generic, true)));
        assert_eq!(kind_of(&[text("Let me look."), call], FinishReason::Stop), Err((ErrorKind::Config, true)));
    }
}
