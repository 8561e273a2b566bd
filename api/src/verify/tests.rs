use chrono::{DateTime, Utc};
use uuid::Uuid;
use verbatim_events::chat::{Chat, decide, evolve};
use verbatim_events::command::{Command, Context, CreateChat, Generated, RecordAttempt, Step};
use verbatim_events::envelope::{Actor, Cause, Stored, chain_hash};
use verbatim_events::event::Offer;
use verbatim_events::event::{AttemptAction, RequestRecipe, TurnOutcome};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::limits::Limits;
use verbatim_events::log::{
    Append, AppendError, Appended, BoxFuture, EventLog, LogError, LogPage, Receipt, StreamAppend,
};
use verbatim_events::memory::MemoryLog;
use verbatim_events::message::FinishReason;
use verbatim_events::model::{ModelProvider, ModelSettings};
use verbatim_events::part::Part;
use verbatim_events::prompt::assemble;
use verbatim_events::settings::{self, ModelRemoved, ModelSet, SETTINGS_STREAM, SettingsEvent};
use verbatim_events::wire::seal;
use verbatim_llm::Demo;

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

/// Does commands to one chat and appends what they yield, as a node would.
struct Writer<'a> {
    log: &'a MemoryLog,
    id: ChatId,
    chat: Option<Chat>,
}

impl<'a> Writer<'a> {
    fn new(log: &'a MemoryLog) -> Writer<'a> {
        Writer { log, id: ChatId(Uuid::now_v7()), chat: None }
    }

    async fn send(&mut self, command: Command) -> &Chat {
        let limits = Limits::default();
        let events = decide(self.chat.as_ref(), &command, Context::new(now(), &limits)).expect("accepted");
        let (version, hash) =
            self.chat.as_ref().map_or((0, Digest::ZERO), |chat| (chat.outline.version, chat.head_hash));
        let cause = Cause { actor: Actor::System, command_id: Uuid::now_v7(), causation_id: None, trace_id: None };
        let sealed = seal(self.id, version, hash, events, &cause, now(), &mut Uuid::now_v7);
        let (events, recorded): (Vec<_>, Vec<_>) = sealed.into_iter().unzip();
        let stream = StreamAppend { chat_id: self.id, expected_version: version, expected_hash: hash, events };
        self.log.append(Append { streams: vec![stream], receipt: None }).await.expect("appended");
        for event in &recorded {
            self.chat = Some(evolve(self.chat.take(), event).expect("legal"));
        }
        self.chat.as_ref().expect("a chat")
    }

    /// A whole turn with the demo model's encoder; `lie` records another digest than that of the prompt.
    async fn turn(&mut self, lie: bool) {
        let create = CreateChat {
            system_prompt: Some("Be brief.".to_owned()),
            ..CreateChat::new(self.id, "ann", vec![Part::text("Hello")])
        };
        let settings = ModelSettings {
            name: "demo".to_owned(),
            provider: "demo".to_owned(),
            provider_model: "demo".to_owned(),
            context_window: None,
            max_output_tokens: None,
            ..ModelSettings::default()
        };
        let chat = self.send(Command::CreateChat(Box::new(create))).await;
        let request = Demo::new().encode(&assemble(chat, &Offer::default()), &settings, None).expect("encoded");
        let digest = if lie { Digest::of(b"something else") } else { request.digest };
        let attempt = self.record(Some(digest), Some(request.recipe)).await;
        let generated = Generated {
            parts: vec![Part::text("Hi")],
            model: "demo".to_owned(),
            usage: None,
            cost_micros: None,
            finish_reason: FinishReason::Stop,
            response_id: None,
            first_part_ms: None,
            refused_calls: Default::default(),
        };
        self.send(Command::CommitStep { attempt_id: attempt, step: Step::Generated(generated) }).await;
        let finish = Command::FinishTurn { attempt_id: None, outcome: TurnOutcome::Complete };
        self.send(finish).await;
    }

    async fn record(&mut self, prompt_digest: Option<Digest>, request: Option<RequestRecipe>) -> u64 {
        let attempt = RecordAttempt {
            action: AttemptAction::Generate,
            model: Some("demo".to_owned()),
            prompt_digest,
            request,
            offer: None,
            node: "node-1".to_owned(),
        };
        let chat = self.send(Command::RecordAttempt(attempt)).await;
        chat.outline.attempt.as_ref().expect("an open attempt").id
    }
}

#[tokio::test]
async fn a_whole_log_is_clean() {
    let log = MemoryLog::default();
    let (mut first, mut second) = (Writer::new(&log), Writer::new(&log));
    first.turn(false).await;
    second.turn(false).await;
    let mut told = Vec::new();
    let audit = audit_log(&log, |done| told.push(done)).await.expect("read");
    assert_eq!(audit.finding, None);
    assert_eq!((audit.head, audit.events, audit.chats), (log.known_head(), log.known_head(), 2));
    assert_eq!(told.last(), Some(&(2 * audit.head)), "progress ends at its end");
}

#[tokio::test]
async fn the_prompt_is_rebuilt_from_the_log_byte_by_byte() {
    let log = MemoryLog::default();
    let mut writer = Writer::new(&log);
    writer.turn(false).await;
    let audit = audit_chat(&read_chat(&log, writer.id).await.expect("read"));
    assert!(audit.is_clean(), "{audit:?}");
    assert!(matches!(audit.prompts[..], [PromptCheck { verdict: PromptVerdict::Same { .. }, .. }]), "{audit:?}");
}

#[tokio::test]
async fn a_prompt_that_was_another_is_found() {
    let log = MemoryLog::default();
    let mut writer = Writer::new(&log);
    writer.turn(true).await;
    let audit = audit_chat(&read_chat(&log, writer.id).await.expect("read"));
    assert!(!audit.is_clean());
    assert_eq!(audit.finding, None, "the log itself holds together");
    assert!(matches!(audit.prompts[..], [PromptCheck { verdict: PromptVerdict::Differs { .. }, .. }]), "{audit:?}");
}

#[tokio::test]
async fn an_encoder_of_another_version_is_not_compared() {
    let log = MemoryLog::default();
    let mut writer = Writer::new(&log);
    writer.turn(false).await;
    let mut events = read_chat(&log, writer.id).await.expect("read");
    let position = events.iter().position(|stored| stored.event.event_type == "attempt_recorded").expect("an attempt");
    let text = String::from_utf8(events[position].event.data.clone()).expect("JSON");
    events[position].event.data = text.replace("\"encoder\":2", "\"encoder\":999").into_bytes();
    rehash(&mut events);
    let audit = audit_chat(&events);
    assert!(audit.is_clean(), "{audit:?}");
    match &audit.prompts[..] {
        [PromptCheck { verdict: PromptVerdict::NotComparable { reason }, .. }] => {
            assert!(reason.contains("999"), "{reason}");
        }
        other => panic!("compared all the same: {other:?}"),
    }
}

fn rehash(events: &mut [Stored]) {
    let mut hash = Digest::ZERO;
    for stored in events {
        hash = chain_hash(&hash, &stored.event);
        stored.event.hash = hash;
    }
}

/// A log that shows its events changed by somebody.
struct Tampered<'a> {
    log: &'a MemoryLog,
    events: Vec<Stored>,
}

impl EventLog for Tampered<'_> {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.log.append(append)
    }

    fn read_chat(&self, chat_id: ChatId, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<Stored>, LogError>> {
        let of_chat = |stored: &&Stored| stored.event.chat_id == chat_id && stored.event.version > after;
        let page = self.events.iter().filter(of_chat).take(limit).cloned().collect();
        Box::pin(async move { Ok(page) })
    }

    fn read_all(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<LogPage, LogError>> {
        let events: Vec<_> = self.events.iter().filter(|stored| stored.position > after).take(limit).cloned().collect();
        let scanned_to = events.last().map_or(after, |stored| stored.position);
        Box::pin(async move { Ok(LogPage { events, scanned_to, head: self.log.known_head() }) })
    }

    fn head(&self) -> BoxFuture<'_, Result<u64, LogError>> {
        self.log.head()
    }

    fn known_head(&self) -> u64 {
        self.log.known_head()
    }

    fn wait_beyond(&self, position: u64) -> BoxFuture<'_, ()> {
        self.log.wait_beyond(position)
    }

    fn receipt(&self, owner: &str, key: &str) -> BoxFuture<'_, Result<Option<Receipt>, LogError>> {
        self.log.receipt(owner, key)
    }

    fn timeline(&self) -> Uuid {
        self.log.timeline()
    }
}

/// The log of one chat's turn after `change`, and what the audit says of it.
async fn audited(change: impl FnOnce(&mut Vec<Stored>)) -> Option<Finding> {
    let log = MemoryLog::default();
    let mut writer = Writer::new(&log);
    writer.turn(false).await;
    let mut events = read_chat(&log, writer.id).await.expect("read");
    change(&mut events);
    audit_log(&Tampered { log: &log, events }, |_| ()).await.expect("read").finding
}

#[tokio::test]
async fn a_changed_word_is_found() {
    let finding = audited(|events| {
        let data = &mut events[2].event.data;
        *data = String::from_utf8(data.clone()).expect("JSON").replace("Hello", "Hallo").into_bytes();
    })
    .await
    .expect("a finding");
    assert_eq!((finding.position, finding.version), (3, Some(3)));
    assert!(finding.problem.contains("hash"), "{finding}");
}

#[tokio::test]
async fn a_missing_event_is_found() {
    let finding = audited(|events| drop(events.remove(3))).await.expect("a finding");
    assert_eq!(finding.position, 5);
    let finding = audited(|events| drop(events.pop())).await.expect("a finding");
    assert!(finding.problem.contains("head"), "{finding}");
}

#[tokio::test]
async fn an_event_that_cannot_have_happened_is_found_before_a_later_break() {
    let finding = audited(|events| {
        // The chat begins twice: both hashes are right, only the story is not.
        let last = events.len() - 1;
        let mut again = events[0].clone();
        again.position = events[3].position;
        again.event.version = events[3].event.version;
        events[3] = again;
        rehash(events);
        events[last].event.hash = Digest::ZERO;
    })
    .await
    .expect("a finding");
    assert_eq!(finding.position, 4, "{finding}");
    assert!(finding.problem.contains("cannot have happened"), "{finding}");
}

/// Appends events of the settings, in their order and unjudged.
async fn set(log: &MemoryLog, events: &[SettingsEvent]) {
    let last = log.read_chat(SETTINGS_STREAM, 0, usize::MAX).await.expect("read").pop();
    let (version, hash) = last.map_or((0, Digest::ZERO), |last| (last.event.version, last.event.hash));
    let cause = Cause { actor: Actor::System, command_id: Uuid::now_v7(), causation_id: None, trace_id: None };
    let events = settings::seal(version, hash, events, &cause, now(), &mut Uuid::now_v7);
    let stream = StreamAppend { chat_id: SETTINGS_STREAM, expected_version: version, expected_hash: hash, events };
    log.append(Append { streams: vec![stream], receipt: None }).await.expect("appended");
}

fn model_set(name: &str) -> SettingsEvent {
    let model = settings::Model::of("demo", "demo");
    SettingsEvent::ModelSet(ModelSet { name: name.to_owned(), model })
}

fn model_removed(name: &str) -> SettingsEvent {
    SettingsEvent::ModelRemoved(ModelRemoved { name: name.to_owned() })
}

#[tokio::test]
async fn the_settings_are_audited_and_no_chat() {
    let log = MemoryLog::default();
    set(&log, &[model_set("m")]).await;
    Writer::new(&log).turn(false).await;
    set(&log, &[model_removed("m"), model_set("m")]).await;
    let audit = audit_log(&log, |_| ()).await.expect("read");
    assert_eq!((audit.finding, audit.events, audit.chats), (None, log.known_head(), 1));
}

#[tokio::test]
async fn settings_that_cannot_have_happened_are_found() {
    let log = MemoryLog::default();
    set(&log, &[model_set("m"), model_removed("m"), model_removed("m"), model_set("n")]).await;
    let finding = audit_log(&log, |_| ()).await.expect("read").finding.expect("a finding");
    assert_eq!((finding.chat_id, finding.version), (Some(SETTINGS_STREAM), Some(3)));
    assert!(finding.problem.contains("cannot have happened"), "{}", finding.problem);
}

#[tokio::test]
async fn a_changed_setting_is_found() {
    let log = MemoryLog::default();
    set(&log, &[model_set("m"), model_set("n")]).await;
    let mut events = read_chat(&log, SETTINGS_STREAM).await.expect("read");
    let data = String::from_utf8(events[0].event.data.clone()).expect("JSON");
    events[0].event.data = data.replace("demo", "none").into_bytes();
    let finding = audit_log(&Tampered { log: &log, events }, |_| ()).await.expect("read").finding.expect("a finding");
    assert_eq!(finding.position, 1);
}
