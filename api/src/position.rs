//! Positions as clients hold them: opaque strings that name the log they belong to, so that a position of another log, or
//! of this one before a restore, is recognised and refused.

use actix_web::HttpRequest;
use uuid::Uuid;
use verbatim_events::ids::Position;

use crate::error::Problem;

/// The header that carries a position: from a mutation's answer into the reads that want to see it.
pub const VERBATIM_POSITION: &str = "verbatim-position";

/// The lane all chats live in. Clients do not look inside, so more lanes change nothing for them.
const LANE: u32 = 0;

/// A position as clients hold it.
pub fn encode(timeline: Uuid, position: Position) -> String {
    format!("{}-{LANE}-{position}", timeline_mark(timeline))
}

/// The position that a client holds, if it belongs to this log.
pub fn decode(timeline: Uuid, text: &str) -> Result<Position, Problem> {
    let mut fields = text.trim().split('-');
    let (mark, lane, number) = match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(mark), Some(lane), Some(number), None) => (mark, lane, number),
        _ => return Err(not_a_position()),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if mark.len() != 8 || !mark.bytes().all(|byte| byte.is_ascii_hexdigit()) || !digits(lane) || !digits(number) {
        return Err(not_a_position());
    }
    let position = number.parse().map_err(|_| not_a_position())?;
    if mark != timeline_mark(timeline) || lane.parse() != Ok(LANE) {
        return Err(Problem::invalid("this position belongs to another log; read again without it"));
    }
    Ok(position)
}

/// The position that a request wants to see, if it names one.
pub fn wanted(request: &HttpRequest, timeline: Uuid) -> Result<Option<Position>, Problem> {
    let Some(value) = request.headers().get(VERBATIM_POSITION) else { return Ok(None) };
    decode(timeline, value.to_str().map_err(|_| not_a_position())?).map(Some)
}

/// The last digits of the timeline's id: they are random in every kind of UUID, the first ones need not be.
fn timeline_mark(timeline: Uuid) -> String {
    timeline.simple().to_string().split_off(24)
}

fn not_a_position() -> Problem {
    Problem::invalid("Verbatim-Position must be what an answer's Verbatim-Position said")
}

#[cfg(test)]
mod tests;
