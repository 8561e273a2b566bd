//! The lines of an export held against each other: order, versions, hashes, and whether every event can be read. Memory holds a
//! line per stream.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use verbatim_events::envelope::{Encoding, NewEvent, Stored, Words, chain_hash, microseconds};
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, Digest, Position, Version};
use verbatim_events::settings::{self, Provider, SettingsEvent};
use verbatim_events::{inbox, wire};

use super::export::heads;
use super::line::{self, EventLine, FORMAT, Form, Header, Trailer};

/// How a stream goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Byte by byte.
    AsStored,
    /// What is sealed is sealed anew, and hashed anew.
    Anew,
}

/// A stream as far as it was read.
struct Stream {
    version: Version,
    /// In the log that it is from.
    hash: Digest,
    /// In the new log.
    new_hash: Digest,
    way: Way,
    /// As its first event was.
    encoding: Encoding,
}

/// What a line holds.
pub(super) struct Checked {
    /// The event, with the hash that it had; of one that is to be sealed anew the words.
    pub(super) event: NewEvent,
    /// How its stream goes over.
    pub(super) way: Way,
    /// The hash of the event before it in the new log.
    pub(super) new_previous: Digest,
}

/// Checks lines, one after the other.
pub(super) struct Checker {
    form: Form,
    /// Nothing was left out, so positions have no gaps.
    whole: bool,
    position: Position,
    events: u64,
    streams: BTreeMap<ChatId, Stream>,
    providers: BTreeMap<String, Provider>,
}

impl Checker {
    /// For the lines after this header.
    pub(super) fn new(header: &Header) -> Checker {
        Checker {
            form: header.form,
            whole: header.filters.is_everything(),
            position: 0,
            events: 0,
            streams: BTreeMap::new(),
            providers: BTreeMap::new(),
        }
    }

    /// How many events were good.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// How many streams there are, and how many of them are chats.
    pub(super) fn streams(&self) -> (u64, u64) {
        let chats = self.streams.keys().filter(|id| id.is_chat()).count();
        (self.streams.len() as u64, chats as u64)
    }

    /// How many chats are sealed anew.
    pub(super) fn sealed_anew(&self) -> u64 {
        self.streams.values().filter(|stream| stream.way == Way::Anew).count() as u64
    }

    /// The providers that the settings come to, by name.
    pub(super) fn providers(&self) -> &BTreeMap<String, Provider> {
        &self.providers
    }

    /// Takes note of the hash that an event has in the new log.
    pub(super) fn hashed(&mut self, id: ChatId, hash: Digest) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.new_hash = hash;
        }
    }

    /// Checks an event's line.
    pub(super) fn event(&mut self, line: &[u8]) -> Result<Checked, String> {
        let entry: EventLine<'_> = serde_json::from_slice(line).map_err(|error| malformed(&error))?;
        if self.whole && entry.position != self.position + 1 {
            return Err(format!(
                "position {} follows {}: lines are missing or out of order",
                entry.position, self.position
            ));
        }
        if entry.position <= self.position {
            return Err(format!("position {} follows {}: lines are out of order", entry.position, self.position));
        }
        let position = entry.position;
        let (event, words) = self.read(entry)?;
        let before = self.streams.get(&event.chat_id);
        let (version, hash) = before.map_or((0, Digest::ZERO), |stream| (stream.version, stream.hash));
        if event.version != version + 1 {
            let problem = match version {
                0 => format!("chat {} begins with version {}", event.chat_id, event.version),
                _ => format!("version {} follows {version} of chat {}", event.version, event.chat_id),
            };
            return Err(format!("{problem}: what comes before it is missing"));
        }
        let is_new_chat = version == 0;
        let way = if words { Way::Anew } else { Way::AsStored };
        let way = self.way(&event, way)?;
        if !words && chain_hash(&hash, &event) != event.hash {
            return Err("its hash is not that of its content and the chain before it: it was changed".to_owned());
        }
        self.say(position, &event, words, is_new_chat)?;
        let stream = self.streams.entry(event.chat_id).or_insert(Stream {
            version: 0,
            hash: Digest::ZERO,
            new_hash: Digest::ZERO,
            way,
            encoding: event.encoding,
        });
        let new_previous = stream.new_hash;
        (stream.version, stream.hash) = (event.version, event.hash);
        self.position = position;
        self.events += 1;
        Ok(Checked { event, way, new_previous })
    }

    /// Checks the last line.
    pub(super) fn end(&self, trailer: &Trailer, digest_before: Digest) -> Result<(), String> {
        if trailer.verbatim_export_end != FORMAT {
            return Err(format!("its format is {}; this program reads {FORMAT}", trailer.verbatim_export_end));
        }
        if trailer.events != self.events {
            return Err(format!(
                "there were {} events, and {} are here: get the export again",
                trailer.events, self.events
            ));
        }
        if trailer.sha256 != digest_before {
            return Err(
                "what stands before it is not what was written: it was changed on its way; get it again".to_owned()
            );
        }
        let ends = self.streams.iter().map(|(id, stream)| (*id, stream.version, stream.hash));
        if trailer.streams != self.streams.len() as u64 || trailer.heads != heads(ends) {
            return Err("the ends of the streams are not those that were written".to_owned());
        }
        Ok(())
    }

    /// The event of a line; and whether it is words that are to be sealed.
    fn read(&self, entry: EventLine<'_>) -> Result<(NewEvent, bool), String> {
        let EventLine { data, data_base64, sealed, .. } = &entry;
        let (bytes, is_json) = match (data, data_base64, sealed) {
            (Some(json), None, None) => (json.get().as_bytes().to_vec(), true),
            (None, Some(text), None) => (bytes(text)?, true),
            (None, None, Some(text)) => (bytes(text)?, false),
            _ => return Err("one of data, data_base64 and sealed is needed".to_owned()),
        };
        let encoding = match entry.encoding {
            line::Stored::Plain => Encoding::Plain,
            line::Stored::Sealed => Encoding::Sealed,
        };
        if encoding == Encoding::Plain && !is_json {
            return Err("it is stored plain, so it cannot be sealed".to_owned());
        }
        if encoding == Encoding::Sealed && !entry.chat_id.is_chat() {
            return Err("only chats are sealed".to_owned());
        }
        let words = encoding == Encoding::Sealed && is_json;
        if words && self.form == Form::Sealed {
            return Err("it is opened, though the first line says that this export is sealed".to_owned());
        }
        if let Some(previous) = entry.previous_hash {
            let known = self.streams.get(&entry.chat_id).map_or(Digest::ZERO, |stream| stream.hash);
            if previous != known {
                return Err("previous_hash is not the hash of the event before it".to_owned());
            }
        }
        let event = NewEvent {
            chat_id: entry.chat_id,
            version: entry.version,
            event_id: entry.event_id,
            event_type: entry.event_type,
            schema: entry.schema,
            recorded_at: microseconds(entry.recorded_at),
            actor: entry.actor,
            command_id: entry.command_id,
            causation_id: entry.causation_id,
            trace_id: entry.trace_id,
            encoding,
            data: bytes,
            hash: entry.hash,
        };
        Ok((event, words))
    }

    /// How the event's stream goes over, by its first event; and whether this one fits to it.
    fn way(&self, event: &NewEvent, way: Way) -> Result<Way, String> {
        let Some(stream) = self.streams.get(&event.chat_id) else { return Ok(way) };
        match (stream.encoding, event.encoding) {
            (Encoding::Plain, Encoding::Sealed) => {
                Err(format!("chat {} is stored plain and cannot be sealed from here on", event.chat_id))
            }
            (Encoding::Sealed, Encoding::Sealed) if stream.way != way => Err(format!(
                "chat {} is opened in one line and sealed in another: it was erased while it was exported; export again",
                event.chat_id
            )),
            _ => Ok(stream.way),
        }
    }

    /// Reads what an event says, and takes note of it. What is sealed says nothing here.
    fn say(&mut self, position: Position, event: &NewEvent, words: bool, is_new_chat: bool) -> Result<(), String> {
        if event.encoding == Encoding::Sealed && !words {
            return Ok(());
        }
        let mut stored = Stored::new(position, event.clone());
        if words {
            stored.words = Words::Opened(event.data.clone());
        }
        let unreadable = |error: wire::WireError| format!("it cannot be read: {}", error.problem);
        if !event.chat_id.is_chat() {
            if inbox::is_stream(event.chat_id) {
                return inbox::decode(&stored).map(drop).map_err(unreadable);
            }
            match settings::decode(&stored).map_err(unreadable)?.event {
                SettingsEvent::ProviderSet(set) => drop(self.providers.insert(set.name, set.provider)),
                SettingsEvent::ProviderRemoved(removed) => drop(self.providers.remove(&removed.name)),
                _ => {}
            }
            return Ok(());
        }
        match wire::decode(&stored).map_err(unreadable)?.event {
            Event::ChatCreated(created) if is_new_chat => match created.parent {
                Some(parent) if !self.streams.contains_key(&parent) => Err(format!(
                    "chat {} was made by chat {parent}, which is not in the export: export that chat, its own come with it",
                    event.chat_id
                )),
                _ => Ok(()),
            },
            Event::ChatErased(_) if self.streams.get(&event.chat_id).is_some_and(|stream| stream.way == Way::Anew) => {
                Err(format!("chat {} is erased, but the export holds what it said; export again", event.chat_id))
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with the JSON of a line, in the words of who reads it.
pub(super) fn malformed(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "the line is cut; get the export again".to_owned();
    }
    format!("this is no line of an export: {error}")
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("its base64 cannot be read: {error}"))
}
