//! Places in the order of all notices, as watchers hold them: opaque strings that name the log they belong to.

use std::fmt;

use uuid::Uuid;
use verbatim_events::ids::Position;

use crate::position;

/// The place before everything.
const BEGINNING: &str = "0";

/// After some of an event's notices, or after all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The event's position; 0 is before the first.
    pub position: Position,
    /// How many of its notices the watcher has; none of a number means all.
    pub notices: Option<usize>,
}

impl Place {
    /// After an event and all its notices.
    pub fn after(position: Position) -> Place {
        Place { position, notices: None }
    }

    /// The position up to which a watcher at this place has everything.
    pub fn complete_to(self) -> Position {
        if self.notices.is_some() { self.position.saturating_sub(1) } else { self.position }
    }

    /// The place as watchers hold it.
    pub fn encode(self, timeline: Uuid) -> Encoded {
        Encoded(position::encode(timeline, self.position), self.notices)
    }

    /// The place that a watcher holds, if it is one of this log's.
    pub fn decode(timeline: Uuid, text: &str) -> Option<Place> {
        if text == BEGINNING {
            return Some(Place::after(0));
        }
        let (text, notices) = match text.split_once('.') {
            None => (text, None),
            Some((text, notices)) => (text, Some(notices.parse().ok().filter(|notices| *notices > 0)?)),
        };
        let position = position::decode(timeline, text).ok()?;
        Some(Place { position, notices })
    }
}

/// A place, written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(String, Option<usize>);

impl fmt::Display for Encoded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            None => formatter.write_str(&self.0),
            Some(notices) => write!(formatter, "{}.{notices}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let timeline = Uuid::now_v7();
        for place in [Place::after(0), Place::after(7), Place { position: 7, notices: Some(2) }] {
            assert_eq!(Place::decode(timeline, &place.encode(timeline).to_string()), Some(place));
        }
        assert_eq!(Place::decode(timeline, "0"), Some(Place::after(0)));
        assert_eq!((Place::after(7).complete_to(), Place { position: 7, notices: Some(1) }.complete_to()), (7, 6));
        let other = Place::after(7).encode(Uuid::now_v7()).to_string();
        let mine = Place::after(7).encode(timeline).to_string();
        for wrong in ["", "7", "1-2", &other, &format!("{mine}.0"), &format!("{mine}.x"), &format!("{mine}."), "0.1"] {
            assert_eq!(Place::decode(timeline, wrong), None, "{wrong:?}");
        }
    }
}
