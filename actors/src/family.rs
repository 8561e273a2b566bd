//! Commands that concern a chat and its descendants: one append over all their streams, all or nothing.
//!
//! Nothing is locked. Each member's state is read, decided on and appended with the version it was read at, the versions
//! that were only looked at included; if any of them has moved on meanwhile, everything is decided again.

use std::sync::Arc;

use tracing::Instrument as _;
use verbatim_events::chat::{Chat, decide, evolve};
use verbatim_events::command::{Command, Context, CreateChat};
use verbatim_events::envelope::{Cause, microseconds};
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::log::{Append, AppendError, NewReceipt, StreamAppend};
use verbatim_events::outcome::Outcome;
use verbatim_events::rejection::Rejection;
use verbatim_events::spending::CallSpent;
use verbatim_events::wire;

use crate::core::replayed;
use crate::handle::{Answer, Meta, SendError};
use crate::spans;
use crate::supervisor::Supervisor;

/// How often a family is decided again after one of its members was faster.
const CONFLICTS_MAX: u32 = 8;
/// The largest family that one append covers.
const FAMILY_MAX: usize = 1000;
/// When a caller should come back if a family would not stand still, in ms.
const BUSY_RETRY_AFTER_MS: u64 = 500;

/// One chat's share of the append.
struct Share {
    append: StreamAppend,
    after: Option<Chat>,
    recorded: Vec<verbatim_events::envelope::Recorded>,
}

/// Whether a command is for its chat's whole family; any other is for the chat alone.
pub(crate) fn concerns(command: &Command) -> bool {
    match command {
        Command::CreateChat(create) => create.parent.is_some(),
        Command::Archive | Command::Unarchive => true,
        Command::ChangeSettings { archived, .. } => archived.is_some(),
        _ => false,
    }
}

/// Sends a command that concerns a family.
pub(crate) async fn send(
    supervisor: &Arc<Supervisor>,
    chat_id: ChatId,
    command: Command,
    meta: Meta,
) -> Result<Answer, SendError> {
    let span = spans::command(chat_id, &command, &meta);
    let work = async {
        let answer = send_to_all(supervisor, chat_id, &command, &meta).await;
        spans::answered(&answer);
        supervisor.deps().metrics.command(command.name(), &answer);
        answer
    };
    work.instrument(span).await
}

/// One append over the streams of all members.
async fn send_to_all(
    supervisor: &Arc<Supervisor>,
    chat_id: ChatId,
    command: &Command,
    meta: &Meta,
) -> Result<Answer, SendError> {
    let log = Arc::clone(&supervisor.deps().log);
    if let Some(key) = &meta.idempotency
        && let Some(receipt) = log.receipt(&key.owner, &key.key).await?
    {
        let answer = replayed(key, &receipt)?;
        let now = state(supervisor, answer.outcome.chat_id).await?;
        return if now.outline.erased { Err(Rejection::Erased.into()) } else { Ok(answer) };
    }
    for _ in 0..CONFLICTS_MAX {
        let (before, shares) = match command {
            Command::CreateChat(create) => (None, creation(supervisor, create, command, meta).await?),
            _ => archiving(supervisor, chat_id, command, meta).await?,
        };
        let Some(target) = shares.iter().find(|share| share.append.chat_id == chat_id) else {
            return Err(Rejection::ChatNotFound.into());
        };
        let Some(after) = &target.after else { return Err(Rejection::ChatNotFound.into()) };
        let outcome = Outcome::of(before.as_deref(), &target.recorded, after);
        let changed: Vec<ChatId> =
            shares.iter().filter(|share| !share.append.events.is_empty()).map(|share| share.append.chat_id).collect();
        if changed.is_empty() && meta.idempotency.is_none() {
            return Ok(Answer { outcome, position: log.known_head(), replayed: false });
        }
        let receipt = meta.idempotency.as_ref().map(|key| NewReceipt {
            owner: key.owner.clone(),
            key: key.key.clone(),
            request_hash: key.request_hash,
            outcome: serde_json::to_vec(&outcome).unwrap_or_default(),
        });
        let streams = shares.into_iter().map(|share| share.append).collect();
        let result = log.append(Append { streams, receipt }).await;
        // Told in every case: after an unknown outcome, too, everybody had better look.
        for member in changed {
            supervisor.refresh(member).await;
        }
        match result {
            Ok(appended) => return Ok(Answer { outcome, position: appended.position, replayed: false }),
            Err(AppendError::Conflict { .. }) => {}
            Err(AppendError::Duplicate(receipt)) => match &meta.idempotency {
                Some(key) => return replayed(key, &receipt),
                None => return Err(SendError::LogUnavailable { problem: "a receipt without a key".to_owned() }),
            },
            Err(AppendError::Busy) => return Err(SendError::Busy { retry_after_ms: BUSY_RETRY_AFTER_MS }),
            Err(AppendError::Failed(problem) | AppendError::Unknown(problem)) => {
                return Err(SendError::LogUnavailable { problem });
            }
        }
    }
    Err(SendError::Busy { retry_after_ms: BUSY_RETRY_AFTER_MS })
}

/// A chat's state, from its actor.
async fn state(supervisor: &Supervisor, chat_id: ChatId) -> Result<Arc<Chat>, SendError> {
    supervisor.open(chat_id).await.map(|opened| opened.chat)
}

/// Decides a command for one chat and seals what it yields.
async fn share(
    supervisor: &Supervisor,
    chat_id: ChatId,
    chat: Option<&Chat>,
    command: &Command,
    meta: &Meta,
) -> Result<Share, SendError> {
    let deps = supervisor.deps();
    let now = microseconds(deps.clock.now());
    // What concerns a family ends no attempt whose meter could be read here.
    let context = Context { call: CallSpent::Unknown, ..Context::new(now, &deps.limits) };
    let events: Vec<Event> = decide(chat, command, context)?;
    let (version, hash) = chat.map_or((0, Digest::ZERO), |chat| (chat.outline.version, chat.head_hash));
    let sealer = if events.is_empty() { None } else { deps.vault.sealer(chat_id, chat.is_none()).await? };
    let cause = Cause {
        actor: meta.actor.clone(),
        command_id: meta.command_id,
        causation_id: None,
        trace_id: meta.trace_id.clone(),
    };
    let mut after = chat.cloned();
    let mut recorded_all = Vec::new();
    let mut new_events = Vec::new();
    let mut new_id = uuid::Uuid::now_v7;
    let sealed = wire::seal_with(sealer.as_deref(), chat_id, version, hash, events, &cause, now, &mut new_id)?;
    for (new, recorded) in sealed {
        let next =
            evolve(after.take(), &recorded).map_err(|error| SendError::Damaged { problem: error.to_string() })?;
        after = Some(next);
        new_events.push(new);
        recorded_all.push(recorded);
    }
    let append = StreamAppend { chat_id, expected_version: version, expected_hash: hash, events: new_events };
    Ok(Share { append, after, recorded: recorded_all })
}

/// A chat that is only looked at: it must not have moved on when the append commits.
fn looked_at(chat: &Chat) -> Share {
    let append = StreamAppend {
        chat_id: chat.outline.id,
        expected_version: chat.outline.version,
        expected_hash: chat.head_hash,
        events: Vec::new(),
    };
    Share { append, after: Some(chat.clone()), recorded: Vec::new() }
}

/// The root of a family must not be archived. Returns its share where it is not the chat itself.
async fn living_root(supervisor: &Supervisor, chat: &Chat) -> Result<Option<Share>, SendError> {
    if chat.outline.root == chat.outline.id {
        return Ok(None);
    }
    let root = state(supervisor, chat.outline.root).await?;
    if root.outline.archived {
        return Err(Rejection::FamilyArchived.into());
    }
    Ok(Some(looked_at(&root)))
}

/// A child and the record of it at its parent.
async fn creation(
    supervisor: &Supervisor,
    create: &CreateChat,
    command: &Command,
    meta: &Meta,
) -> Result<Vec<Share>, SendError> {
    let Some(parent_id) = create.parent else { return Err(Rejection::ChatNotFound.into()) };
    let parent = state(supervisor, parent_id).await?;
    if parent.outline.archived {
        return Err(Rejection::FamilyArchived.into());
    }
    let mut shares: Vec<Share> = living_root(supervisor, &parent).await?.into_iter().collect();
    let spawned = Command::RecordChild { child: create.id, kind: create.kind };
    shares.push(share(supervisor, parent_id, Some(&parent), &spawned, meta).await?);
    shares.push(share(supervisor, create.id, None, command, meta).await?);
    Ok(shares)
}

/// A chat with all its descendants, archived or brought back.
async fn archiving(
    supervisor: &Supervisor,
    chat_id: ChatId,
    command: &Command,
    meta: &Meta,
) -> Result<(Option<Arc<Chat>>, Vec<Share>), SendError> {
    let target = state(supervisor, chat_id).await?;
    let archived = match command {
        Command::Archive => true,
        Command::ChangeSettings { archived, .. } => *archived == Some(true),
        _ => false,
    };
    let mut shares = vec![share(supervisor, chat_id, Some(&target), command, meta).await?];
    if !archived && let Some(root) = living_root(supervisor, &target).await? {
        shares.push(root);
    }
    let descendants_command = if archived { Command::Archive } else { Command::Unarchive };
    let mut waiting: Vec<ChatId> = target.outline.children.clone();
    while let Some(member_id) = waiting.pop() {
        if shares.len() >= FAMILY_MAX {
            return Err(SendError::FamilyTooLarge { max: FAMILY_MAX });
        }
        let member = state(supervisor, member_id).await?;
        waiting.extend(member.outline.children.iter().copied());
        if !member.outline.erased {
            shares.push(share(supervisor, member_id, Some(&member), &descendants_command, meta).await?);
        }
    }
    Ok((Some(target), shares))
}
