//! A value of every event with everything in it that can be, and one with as little as it can hold. Written field by field,
//! so that a new field makes somebody decide whether the schema number must rise.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::error::{ChatError, ErrorKind};
use crate::event::*;
use crate::ids::{ChatId, Digest};
use crate::message::{FinishReason, Origin, Role, Usage, Visibility};
use crate::part::{FileContent, FileKind, Part};
use crate::price::Cost;
use crate::spending::SpendingShare;

pub fn chat_id(number: u128) -> ChatId {
    ChatId(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + number))
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn some(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_790_000_000_000_000 + micros).expect("a time within range")
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([(text("team"), text("kernel")), (text("area"), text("größe"))])
}

fn workspace() -> WorkspaceBinding {
    WorkspaceBinding {
        id: some("ws-1"),
        template_id: some("blank"),
        name: some("my-workspace"),
        parameters: Some(json!({"size": "small", "disks": [1, 2.5, null]})),
    }
}

fn bare_workspace() -> WorkspaceBinding {
    WorkspaceBinding { id: None, template_id: None, name: None, parameters: None }
}

fn usage() -> Usage {
    Usage { input_tokens: 11, output_tokens: 22, cache_read_tokens: 33, cache_write_tokens: 44, reasoning_tokens: 5 }
}

fn no_usage() -> Usage {
    Usage { input_tokens: 0, output_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0, reasoning_tokens: 0 }
}

fn error() -> ChatError {
    ChatError {
        kind: ErrorKind::RateLimit,
        message: text("The provider limits our rate; try again later."),
        detail: some("too many tokens per minute"),
        provider: some("openai"),
        status_code: Some(429),
        retryable: true,
    }
}

fn bare_error() -> ChatError {
    ChatError {
        kind: ErrorKind::Generic,
        message: text("It failed."),
        detail: None,
        provider: None,
        status_code: None,
        retryable: false,
    }
}

fn content() -> FileContent {
    FileContent { digest: Digest::of(b"a cat"), size_bytes: 5 }
}

fn file() -> Part {
    Part::File { file_id: text("f1"), media_type: text("image/png"), name: text("a.png"), content: Some(content()) }
}

fn all_parts() -> Vec<Part> {
    let metadata = || Some(json!({"signature": "c2ln", "share": 0.1}));
    vec![
        Part::Text { text: text("Hello, Wörld \u{1F44B}\n\"quoted\"") },
        Part::Reasoning { text: text("hm"), metadata: metadata() },
        Part::ToolCall {
            call_id: text("call_1"),
            name: text("web_search"),
            args: json!({"query": "rust", "limit": 3}),
            provider_executed: true,
            metadata: metadata(),
        },
        Part::ToolResult {
            call_id: text("call_1"),
            name: text("web_search"),
            result: json!([{"title": "Rust"}]),
            is_error: false,
            provider_executed: true,
            metadata: metadata(),
        },
        Part::Source { url: text("https://example.org/a"), title: text("Example") },
        Part::File {
            file_id: text("file-1"),
            media_type: text("image/png"),
            name: text("cat.png"),
            content: Some(content()),
        },
        Part::ContextFile { path: text("AGENTS.md"), text: text("Be kind.") },
    ]
}

fn bare_parts() -> Vec<Part> {
    vec![
        Part::Reasoning { text: text("hm"), metadata: None },
        Part::ToolCall {
            call_id: text("call_2"),
            name: text("read_file"),
            args: json!({}),
            provider_executed: false,
            metadata: None,
        },
        Part::ToolResult {
            call_id: text("call_2"),
            name: text("read_file"),
            result: json!("done"),
            is_error: true,
            provider_executed: false,
            metadata: None,
        },
        Part::ContextFile { path: text("AGENTS.md"), text: text("") },
    ]
}

/// One of each event, with all that is optional.
pub fn full() -> Vec<Event> {
    vec![
        Event::ChatCreated(ChatCreated {
            owner: text("ada"),
            parent: Some(chat_id(1)),
            root: chat_id(1),
            title: text("A title"),
            title_source: TitleSource::User,
            model: some("gpt-x"),
            effort: some("high"),
            system_prompt: some("Be brief."),
            tools: vec![
                ToolDefinition {
                    name: text("get_time"),
                    description: text("Tells the time."),
                    parameters: json!({"type": "object", "properties": {"zone": {"type": "string"}}}),
                }
                .into(),
            ],
            server_tools: Some(vec![text("read_file")]),
            mcp_servers: vec![text("files")],
            tool_policy: BTreeMap::from([(text("*"), ToolPolicy::Auto), (text("execute"), ToolPolicy::Ask)]),
            labels: labels(),
            workspace: Some(workspace()),
            plan_mode: true,
            forked_from: Some(ForkOrigin { chat_id: chat_id(2), version: 41, hash: Digest([0xab; 32]) }),
        }),
        Event::MessageCommitted(MessageCommitted {
            role: Role::Assistant,
            parts: all_parts(),
            visibility: Visibility::Both,
            origin: Origin::Model,
            author: some("ada"),
            queued_id: Some(7),
            model: some("gpt-x"),
            effort: some("high"),
            usage: Some(usage()),
            cost_micros: Some(1500),
            finish_reason: Some(FinishReason::Stop),
            response_id: some("resp_1"),
            attempt_id: Some(9),
            first_part_ms: Some(320),
            refused_calls: BTreeMap::from([(text("call_2"), text("there is no tool named \"fly\""))]),
            compressed: true,
            context: Some(ContextSource {
                workspace_id: text("local-0123abcd"),
                files: vec![ContextStamp { path: text("AGENTS.md"), digest: Digest([0xcd; 32]), size_bytes: 8 }],
                unreachable: true,
            }),
        }),
        Event::MessagesWithdrawn(MessagesWithdrawn { from: 5, reason: WithdrawalReason::Edited }),
        Event::MessageQueued(MessageQueued {
            parts: vec![Part::Text { text: text("next") }, file()],
            author: text("ada"),
            model: some("gpt-x"),
            effort: some("low"),
            steer: true,
        }),
        Event::QueuedMessageDeleted(QueuedMessageDeleted { queued_id: 7 }),
        Event::QueuedMessagePromoted(QueuedMessagePromoted { queued_id: 7, to: PromotedTo::History }),
        Event::TurnStarted(TurnStarted { reason: TurnReason::Message }),
        Event::CapacityAwaited(CapacityAwaited { scope: CapacityScope::Root }),
        Event::AttemptRecorded(AttemptRecorded {
            action: AttemptAction::Generate,
            number: 2,
            model: some("gpt-x"),
            prompt_digest: Some(Digest::of(b"a prompt")),
            request: Some(RequestRecipe {
                protocol: text("openai_chat"),
                provider: text("openai"),
                provider_model: text("gpt-x-2026"),
                max_output_tokens: Some(4096),
                effort: some("high"),
                files: Some(vec![FileKind::Image, FileKind::Pdf, FileKind::Text]),
                accepts: Some(vec![text("image/*"), text("application/pdf")]),
                files_gone: vec![text("file-2")],
                encoder: 1,
                ..RequestRecipe::default()
            }),
            offer: Some(Offer {
                tools: vec![
                    ToolDefinition {
                        name: text("read_file"),
                        description: text("Reads a file."),
                        parameters: json!({"type": "object"}),
                    }
                    .into(),
                ],
                guidance: some("Use tools sparingly."),
                withheld: vec![text("weather")],
            }),
            node: text("node-1"),
        }),
        Event::ToolCallStarted(ToolCallStarted {
            attempt_id: 9,
            call_id: text("call_1"),
            name: text("execute"),
            effect_class: EffectClass::Resumable,
        }),
        Event::ToolCallFinished(ToolCallFinished {
            attempt_id: 9,
            call_id: text("call_1"),
            name: text("execute"),
            result: json!({"exit_code": 0, "output": "ok\n"}),
            is_error: false,
            attachments: vec![file()],
            duration_ms: 1234,
        }),
        Event::RetryScheduled(RetryScheduled {
            attempt_id: 9,
            attempt: 2,
            delay_ms: 2100,
            retry_at: at(1),
            error: error(),
            partial: vec![Part::Text { text: text("Hel") }],
            files_refused: true,
        }),
        Event::AttemptAbandoned(AttemptAbandoned {
            attempt_id: 9,
            cause: AbandonCause::Crash,
            partial: vec![Part::Text { text: text("Hel") }],
        }),
        Event::ActionRequired(ActionRequired {
            calls: vec![PendingCall {
                call_id: text("call_1"),
                name: text("get_time"),
                args: json!({"zone": "UTC"}),
                needs: CallNeed::Result,
            }],
            deadline: at(2_000_000),
        }),
        Event::ActionResolved(ActionResolved { resolution: ActionResolution::Submitted }),
        Event::ApprovalsDecided(ApprovalsDecided {
            decisions: vec![ApprovalDecision { call_id: text("call_1"), approved: false, reason: some("too risky") }],
            by: text("ada"),
        }),
        Event::InterruptRequested(InterruptRequested { cause: InterruptCause::User }),
        Event::TurnFinished(TurnFinished {
            turn_id: 3,
            outcome: TurnOutcome::Failed,
            error: Some(error()),
            partial: vec![Part::Text { text: text("Hel") }],
            usage: usage(),
            cost_micros: Some(1500),
            steps: 4,
            duration_ms: 61_000,
        }),
        Event::CompactionRequested(CompactionRequested { source: CompactionSource::Manual }),
        Event::ContextCompacted(ContextCompacted {
            source: CompactionSource::Automatic,
            context_tokens: 90_000,
            window_tokens: Some(128_000),
            threshold_percent: 70,
        }),
        Event::ContextCleared(ContextCleared { source: CompactionSource::Manual }),
        Event::SettingsChanged(SettingsChanged {
            title: Some(TitleChange { title: text("Another"), source: TitleSource::Model }),
            labels: Some(labels()),
            pinned: Some(true),
            model: some("gpt-y"),
            effort: some("low"),
            plan_mode: Some(false),
            workspace: Some(workspace()),
            diff_status: Some(Some(DiffStatus {
                branch: some("main"),
                files_changed: 3,
                insertions: 20,
                deletions: 1,
                partial: true,
            })),
            context: Some(ContextMark { message_id: 4, freshness: ContextFreshness::Changed }),
            status_label: some("Fixed the loom"),
        }),
        Event::ChatArchived(ChatArchived {}),
        Event::ChatUnarchived(ChatUnarchived {}),
        Event::ChatErased(ChatErased {
            by: text("ada"),
            reason: some("asked for"),
            remains: Some(Remains {
                owner: text("ada"),
                parent: Some(chat_id(2)),
                root: chat_id(2),
                created_at: at(-7),
                archived: true,
                usage: usage(),
                cost: Cost { known_micros: 1200, unpriced_steps: 1 },
                spending: vec![SpendingShare {
                    day: chrono::NaiveDate::from_ymd_opt(2026, 9, 21).expect("a day"),
                    model: some("gpt-x"),
                    purpose: UsagePurpose::Advice,
                    steps: 2,
                    usage: usage(),
                    cost: Cost { known_micros: 1200, unpriced_steps: 1 },
                }],
            }),
        }),
        Event::ChildSpawned(ChildSpawned { child: chat_id(2), kind: ChildKind::Agent }),
        Event::UsageRecorded(UsageRecorded {
            purpose: UsagePurpose::Advice,
            model: some("gpt-x"),
            usage: usage(),
            cost_micros: Some(1500),
            attempt_id: Some(9),
        }),
    ]
}

/// Each event that has something optional, without it.
pub fn minimal() -> Vec<Event> {
    vec![
        Event::ChatCreated(ChatCreated {
            owner: text("ada"),
            parent: None,
            root: chat_id(1),
            title: text("New chat"),
            title_source: TitleSource::Fallback,
            model: None,
            effort: None,
            system_prompt: None,
            tools: vec![],
            server_tools: None,
            mcp_servers: vec![],
            tool_policy: BTreeMap::new(),
            labels: BTreeMap::new(),
            workspace: None,
            plan_mode: false,
            forked_from: None,
        }),
        Event::MessageCommitted(MessageCommitted {
            role: Role::User,
            parts: bare_parts(),
            visibility: Visibility::Model,
            origin: Origin::User,
            author: None,
            queued_id: None,
            model: None,
            effort: None,
            usage: None,
            cost_micros: None,
            finish_reason: None,
            response_id: None,
            attempt_id: None,
            first_part_ms: None,
            refused_calls: Default::default(),
            compressed: false,
            context: Some(ContextSource { workspace_id: text("w1"), files: vec![], unreachable: false }),
        }),
        Event::MessageQueued(MessageQueued {
            parts: vec![],
            author: text("ada"),
            model: None,
            effort: None,
            steer: false,
        }),
        Event::AttemptRecorded(AttemptRecorded {
            action: AttemptAction::RunTools,
            number: 1,
            model: None,
            prompt_digest: None,
            request: None,
            offer: None,
            node: text("node-1"),
        }),
        Event::ToolCallFinished(ToolCallFinished {
            attempt_id: 9,
            call_id: text("call_1"),
            name: text("execute"),
            result: json!("ok"),
            is_error: false,
            attachments: vec![],
            duration_ms: 1,
        }),
        Event::RetryScheduled(RetryScheduled {
            attempt_id: 9,
            attempt: 1,
            delay_ms: 1000,
            retry_at: at(0),
            error: bare_error(),
            partial: vec![],
            files_refused: false,
        }),
        Event::AttemptAbandoned(AttemptAbandoned {
            attempt_id: 9,
            cause: AbandonCause::OwnershipLost,
            partial: vec![],
        }),
        Event::ApprovalsDecided(ApprovalsDecided {
            decisions: vec![ApprovalDecision { call_id: text("call_1"), approved: true, reason: None }],
            by: text("ada"),
        }),
        Event::TurnFinished(TurnFinished {
            turn_id: 3,
            outcome: TurnOutcome::Complete,
            error: None,
            partial: vec![],
            usage: no_usage(),
            cost_micros: None,
            steps: 1,
            duration_ms: 0,
        }),
        Event::ContextCompacted(ContextCompacted {
            source: CompactionSource::Manual,
            context_tokens: 0,
            window_tokens: None,
            threshold_percent: 70,
        }),
        Event::SettingsChanged(SettingsChanged {
            title: None,
            labels: None,
            pinned: None,
            model: None,
            effort: None,
            plan_mode: None,
            workspace: Some(bare_workspace()),
            diff_status: Some(None),
            context: None,
            status_label: None,
        }),
        Event::ChatErased(ChatErased { by: text("ada"), reason: None, remains: None }),
        Event::UsageRecorded(UsageRecorded {
            purpose: UsagePurpose::Title,
            model: None,
            usage: no_usage(),
            cost_micros: None,
            attempt_id: None,
        }),
    ]
}
