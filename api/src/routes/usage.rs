//! What was spent: everybody sees their own, auditors and administrators all.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDate;
use verbatim_events::ids::ChatId;
use verbatim_projections::{UsageFilter, UsageGroup};

use super::Answered;
use super::access::settle;
use super::query::Query;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::usage::{UsageReportView, UsageSumView};

/// The words of `group`, in the order in which headings are read.
pub const GROUPS: [(&str, UsageGroup); 5] = [
    ("owner", UsageGroup::Owner),
    ("day", UsageGroup::Day),
    ("model", UsageGroup::Model),
    ("purpose", UsageGroup::Purpose),
    ("chat", UsageGroup::Chat),
];

/// What sums are told apart by where the request does not say.
const GROUPS_DEFAULT: [UsageGroup; 3] = [UsageGroup::Owner, UsageGroup::Day, UsageGroup::Model];

/// `GET /usage`
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let limit = query.limit()?;
    let cursor = query.one("cursor")?;
    let groups = groups(query.one("group")?.as_deref())?;
    let filter = UsageFilter {
        owner: owner(&caller, query.one("owner")?)?,
        model: query.one("model")?,
        chat: chat("chat", query.one("chat")?)?,
        family: chat("family", query.one("family")?)?,
        from: day("from", query.one("from")?)?,
        to: day("to", query.one("to")?)?,
    };
    query.finish()?;
    settle(&state, &request).await?;
    let (page, total) = state.reads.usage(filter, groups, limit, cursor.as_deref()).await?;
    let items = page.items.iter().map(UsageSumView::of).collect();
    let total = UsageSumView::of(&total);
    Ok(HttpResponse::Ok().json(UsageReportView { items, next_cursor: page.next_cursor, total }))
}

/// Whose spending is told. Who does not read all reads their own.
fn owner(caller: &Caller, wanted: Option<String>) -> Result<Option<String>, Problem> {
    if caller.reads_all() {
        return Ok(wanted);
    }
    match wanted {
        Some(wanted) if wanted != caller.owner => {
            Err(Problem::new(Code::Forbidden, "this key reads what its own owner spent, and nobody else's"))
        }
        Some(_) | None => Ok(Some(caller.owner.clone())),
    }
}

fn groups(text: Option<&str>) -> Result<Vec<UsageGroup>, Problem> {
    let Some(text) = text else { return Ok(GROUPS_DEFAULT.to_vec()) };
    let mut groups = Vec::new();
    for word in text.split(',') {
        let group = GROUPS.iter().find(|(name, _)| *name == word).map(|(_, group)| *group);
        match group {
            Some(group) if !groups.contains(&group) => groups.push(group),
            Some(_) | None => {
                let words = GROUPS.map(|(name, _)| name).join(", ");
                return Err(Problem::invalid(format!("group holds words of {words}, each once, with commas between")));
            }
        }
    }
    Ok(groups)
}

fn chat(name: &str, text: Option<String>) -> Result<Option<ChatId>, Problem> {
    let read = |text: String| text.parse().map_err(|_| Problem::invalid(format!("{name} must be a chat's id")));
    text.map(read).transpose()
}

fn day(name: &str, text: Option<String>) -> Result<Option<NaiveDate>, Problem> {
    let read = |text: String| {
        let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().filter(|_| text.len() == "2026-09-21".len());
        day.ok_or_else(|| Problem::invalid(format!("{name} must be a day in UTC like 2026-09-21")))
    };
    text.map(read).transpose()
}
