//! Housekeeping: chats that nobody has used for long are archived, archived ones are erased, what commands left behind is
//! removed, what they left running for nobody is ended, and files that no chat shows are let go. The first two are off
//! until a setting says after how many days.
//!
//! A pass looks at the rows of the read models, oldest first, asks each chat itself before it does anything, and does a
//! bounded number of things; the next pass begins anew, so neither a crash nor a missed pass leaves anything undone.
//! **Invariant:** families are archived and erased whole, and none of which a member is pinned, is at work or was used since.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use verbatim_actors::clock::Clock;
use verbatim_actors::handle::{Handle, Meta, SendError};
use verbatim_events::chat::{Outline, Status};
use verbatim_events::command::Command;
use verbatim_events::envelope::Actor;
use verbatim_events::ids::ChatId;
use verbatim_events::limits::Limits;
use verbatim_projections::{ReadError, ReadModels};

use crate::compose::WorkspaceHome;
use crate::erasure::{Asked, EraseError, Eraser};
use crate::files::FileSweep;

/// From one pass to the next, in ms. Days are what it is about; this is how late it may be.
const EVERY_MS: u64 = 10 * 60 * 1000;

/// From one pass to the next where the last one left something to do, in ms: users come first.
const SOON_MS: u64 = 1000;

/// From the start to the first pass, in ms: turns that go on come first.
const FIRST_MS: u64 = 30 * 1000;

/// Families that one pass archives, and that it erases.
const FAMILIES_MAX: usize = 50;

/// Rows read at once.
const PAGE: usize = 100;

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Families that were archived.
    pub archived: usize,
    /// Families that were erased.
    pub erased: usize,
    /// Processes of which nothing is left now.
    pub processes: usize,
    /// What calls left running that no call wanted any more.
    pub leftovers: usize,
    /// Files that were let go.
    pub files: usize,
    /// It stopped at its bound; there may be more.
    pub has_more: bool,
}

/// Who erased what nobody asked to have erased.
const RETENTION: &str = "retention";

/// Something that is done to families in which nothing has happened for so long.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Archive { days: u32 },
    Erase { days: u32 },
}

impl Rule {
    fn days(self) -> u32 {
        match self {
            Rule::Archive { days } | Rule::Erase { days } => days,
        }
    }

    /// Whether it concerns archived chats.
    fn of_archived(self) -> bool {
        matches!(self, Rule::Erase { .. })
    }

    fn said(self) -> &'static str {
        match self {
            Rule::Archive { .. } => "an unused chat was archived",
            Rule::Erase { .. } => "an archived chat was erased, as its retention says",
        }
    }
}

/// Keeps house.
pub struct Housekeeper {
    handle: Handle,
    reads: ReadModels,
    clock: Arc<dyn Clock>,
    workspaces: WorkspaceHome,
    eraser: Eraser,
    sweep: FileSweep,
    rules: Vec<Rule>,
}

impl Housekeeper {
    /// By these bounds: `auto_archive_days` and `retention_days`.
    pub fn new(
        handle: Handle,
        reads: ReadModels,
        clock: Arc<dyn Clock>,
        workspaces: WorkspaceHome,
        eraser: Eraser,
        sweep: FileSweep,
        limits: &Limits,
    ) -> Housekeeper {
        let rules = [Rule::Archive { days: limits.auto_archive_days }, Rule::Erase { days: limits.retention_days }];
        let rules = rules.into_iter().filter(|rule| rule.days() > 0).collect();
        Housekeeper { handle, reads, clock, workspaces, eraser, sweep, rules }
    }

    /// Keeps house until it is dropped.
    pub async fn run(self) {
        self.clock.sleep_ms(FIRST_MS).await;
        loop {
            let tidied = self.pass().await;
            self.clock.sleep_ms(if tidied.has_more { SOON_MS } else { EVERY_MS }).await;
        }
    }

    /// One pass. What fails is said in the log and left to the next one.
    pub async fn pass(&self) -> Tidied {
        let mut tidied = Tidied::default();
        for rule in &self.rules {
            match self.apply(*rule).await {
                Ok((count, has_more)) => {
                    match rule {
                        Rule::Archive { .. } => tidied.archived = count,
                        Rule::Erase { .. } => tidied.erased = count,
                    }
                    tidied.has_more |= has_more;
                }
                Err(error) => tracing::warn!(%error, "housekeeping cannot look through the chats"),
            }
        }
        tidied.processes = self.workspaces.prune_processes(self.clock.now()).await;
        tidied.leftovers = self.handle.end_leftovers().await;
        match self.sweep.pass().await {
            Ok(swept) => {
                tidied.files = swept.files;
                tidied.has_more |= swept.has_more;
            }
            Err(error) => tracing::warn!(%error, "housekeeping leaves the files as they are"),
        }
        if (Tidied { has_more: false, ..tidied }) != Tidied::default() {
            let Tidied { archived, erased, processes, leftovers, files, .. } = tidied;
            tracing::info!(archived, erased, processes, leftovers, files, "housekeeping");
        }
        tidied
    }

    /// Does a rule's deed to the families that it concerns: how many, and whether the bound was met.
    async fn apply(&self, rule: Rule) -> Result<(usize, bool), ReadError> {
        let unused_since = self.clock.now() - TimeDelta::days(i64::from(rule.days()));
        let (mut count, mut after) = (0, 0);
        loop {
            let page = self.reads.idle_roots(rule.of_archived(), after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for (position, root) in page {
                // The rows are in the order of the log: what follows was used later.
                if root.updated_at > unused_since {
                    return Ok((count, false));
                }
                after = after.max(position);
                if self.is_unused(&root, unused_since).await? && self.deal_with(rule, root.id, unused_since).await {
                    count += 1;
                    if count == FAMILIES_MAX {
                        return Ok((count, true));
                    }
                }
            }
            if is_last {
                return Ok((count, false));
            }
        }
    }

    /// Whether nothing has happened in the whole family, as far as the rows say.
    async fn is_unused(&self, root: &Outline, unused_since: DateTime<Utc>) -> Result<bool, ReadError> {
        if !is_at_rest(root) {
            return Ok(false);
        }
        let liveliest = self.reads.liveliest(root.id).await?;
        Ok(liveliest.is_some_and(|member| !member.pinned && member.updated_at <= unused_since))
    }

    /// Asks the chat itself, and does it. False where it was not done.
    async fn deal_with(&self, rule: Rule, root: ChatId, unused_since: DateTime<Utc>) -> bool {
        let now = match self.handle.open(root).await {
            Ok(opened) => opened.chat,
            Err(error) => return failed(root, &error),
        };
        let outline = &now.outline;
        let is_still_so = is_at_rest(outline)
            && !outline.pinned
            && !outline.erased
            && outline.archived == rule.of_archived()
            && outline.updated_at <= unused_since;
        if !is_still_so {
            return false;
        }
        let meta = Meta { actor: Actor::System, command_id: Uuid::now_v7(), idempotency: None, trace_id: None };
        let done = match rule {
            Rule::Archive { .. } => self.handle.send_family(root, Command::Archive, meta).await,
            Rule::Erase { days } => {
                let reason = Some(format!("archived, and unused for {days} days"));
                // What began before chats were sealed keeps its events: nothing can take them out of the log.
                match self.eraser.erase(root, meta, Asked { by: RETENTION.to_owned(), reason, keep_events: true }).await
                {
                    Err(EraseError::Refused(error)) => Err(error),
                    Err(error) => Err(SendError::LogUnavailable { problem: error.to_string() }),
                    Ok(answer) => Ok(answer),
                }
            }
        };
        match done {
            Ok(_) => {
                tracing::info!(chat.id = %root, days = rule.days(), "{}", rule.said());
                true
            }
            Err(error) => failed(root, &error),
        }
    }
}

fn is_at_rest(outline: &Outline) -> bool {
    matches!(outline.status, Status::Waiting | Status::Error)
}

/// Says what went wrong. A refusal is none: the family has moved on, and a later pass looks again.
fn failed(root: ChatId, error: &SendError) -> bool {
    match error {
        SendError::Rejected(rejection) => tracing::debug!(chat.id = %root, %rejection, "a chat is left as it is"),
        error => tracing::warn!(chat.id = %root, %error, "a chat could not be tidied up"),
    }
    false
}
