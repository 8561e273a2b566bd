//! `Erase`: the content goes, the fact stays. A busy chat's turn ends first.

use super::draft::{Decided, Draft};
use super::moves::Ending;
use crate::event::{ActionResolution, ChatErased, Event, Remains, TurnOutcome};

pub(super) fn erase(draft: &mut Draft<'_>, by: &str, reason: Option<&str>) -> Decided {
    draft.leave_action(ActionResolution::Cancelled)?;
    if draft.chat.outline.turn.is_some() {
        draft.finish_turn(TurnOutcome::Interrupted, Ending::default())?;
    }
    let spending = draft.chat.spent.as_ref().clone();
    let remains = Some(Remains { spending, ..draft.chat.outline.remains() });
    draft.push(Event::ChatErased(ChatErased { by: by.to_owned(), reason: reason.map(str::to_owned), remains }))?;
    Ok(())
}
