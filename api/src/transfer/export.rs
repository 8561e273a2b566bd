//! Writing an export: one pass over the log, a page at a time. Memory holds a line per stream.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sha2::Digest as _;
use verbatim_events::envelope::{Encoding, Stored, Words};
use verbatim_events::ids::{ChatId, Digest, Version};
use verbatim_events::log::{EventLog, LogError};

use super::line::{self, EventLine, FORMAT, Filters, Form, Header, Trailer};
use super::select::Selection;
use super::{ExportError, LINE_BYTES_MAX, Step};

/// Events read at once.
const PAGE: usize = 200;

/// The stored type of the event that says that a chat is erased.
const ERASED: &str = "chat_erased";

/// What is exported, and how.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// How it holds what is sealed. The log must open it for `Form::Opened`, and where chats or an owner are chosen.
    pub form: Form,
    /// What is left out.
    pub filters: Filters,
    /// When it is made.
    pub now: DateTime<Utc>,
    /// The mark of the master key that wraps the log's keys.
    pub master_key: Option<String>,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// Events.
    pub events: u64,
    /// Streams that they belong to.
    pub streams: u64,
    /// Chats among these.
    pub chats: u64,
    /// What the streams' last events come to.
    pub heads: Digest,
    /// What all lines but the last come to.
    pub sha256: Digest,
}

/// Which way a chat's sealed events were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Words,
    Ciphertext,
}

/// A stream as far as it was read.
#[derive(Default)]
struct Stream {
    version: Version,
    hash: Digest,
    /// The last version that was written, and its hash.
    exported: Option<(Version, Digest)>,
    sealed: Option<Written>,
}

/// Writes an export of the log up to its present head.
pub async fn export(
    log: &dyn EventLog,
    options: &ExportOptions,
    out: &mut impl Write,
    mut tell: impl FnMut(Step),
) -> Result<Exported, ExportError> {
    for chat_id in &options.filters.chats {
        if log.read_chat(*chat_id, 0, 1).await?.is_empty() {
            return Err(ExportError::NoSuchChat(*chat_id));
        }
    }
    let head = log.head().await?;
    let mut exporter = Exporter { out, hasher: sha2::Sha256::new(), line: Vec::new(), events: 0 };
    let header = Header {
        verbatim_export: FORMAT,
        form: options.form,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        exported_at: options.now,
        timeline: log.timeline(),
        head,
        master_key: options.master_key.clone(),
        filters: options.filters.clone(),
    };
    exporter.put(&header)?;
    let mut selection = Selection::new(options.filters.clone());
    let mut streams: BTreeMap<ChatId, Stream> = BTreeMap::new();
    let mut unread: BTreeSet<ChatId> = BTreeSet::new();
    let mut position = 0;
    while position < head {
        tell(Step::Events { done: position });
        let page = log.read_all(position, PAGE).await?;
        if page.events.is_empty() {
            let problem = format!("the log ends here, but its head says {head}");
            return Err(LogError::Damaged { position, problem }.into());
        }
        for stored in page.events.iter().take_while(|stored| stored.position <= head) {
            position = stored.position;
            if !selection.takes(log, stored).await? {
                continue;
            }
            let stream = streams.entry(stored.event.chat_id).or_default();
            let words = match options.form {
                Form::Sealed => false,
                Form::Opened => stream.follow(stored, &mut unread)?,
            };
            if selection.is_in_time(stored) {
                let follows = stream.exported.map_or(0, |(version, _)| version) + 1 == stored.event.version;
                let previous = if follows { None } else { Some(stream.hash) };
                exporter.event(stored, words, previous)?;
                stream.exported = Some((stored.event.version, stored.event.hash));
            }
            (stream.version, stream.hash) = (stored.event.version, stored.event.hash);
        }
    }
    tell(Step::Events { done: position });
    if let Some(chat_id) = unread.first() {
        return Err(ExportError::KeyGone(*chat_id));
    }
    streams.retain(|_, stream| stream.exported.is_some());
    let ends = streams.iter().filter_map(|(id, stream)| stream.exported.map(|(version, hash)| (*id, version, hash)));
    exporter.finish(streams.len() as u64, streams.keys().filter(|id| id.is_chat()).count() as u64, heads(ends))
}

/// What the ends of streams come to, in the order of their ids.
pub(super) fn heads(ends: impl Iterator<Item = (ChatId, Version, Digest)>) -> Digest {
    let mut hasher = sha2::Sha256::new();
    for (id, version, hash) in ends {
        hasher.update(id.0.as_bytes());
        hasher.update(version.to_be_bytes());
        hasher.update(hash.0);
    }
    Digest(hasher.finalize().into())
}

impl Stream {
    /// Whether the event's words are written. Takes note of what an erasure left, so that no words of an erased chat are in an
    /// export, and none are missing that nobody erased.
    fn follow(&mut self, stored: &Stored, unread: &mut BTreeSet<ChatId>) -> Result<bool, ExportError> {
        let chat_id = stored.event.chat_id;
        if stored.event.event_type == ERASED {
            unread.remove(&chat_id);
            return if self.sealed == Some(Written::Words) {
                Err(ExportError::ErasedMeanwhile(chat_id))
            } else {
                Ok(true)
            };
        }
        if stored.event.encoding == Encoding::Plain {
            return Ok(true);
        }
        let written = match stored.words {
            Words::Opened(_) => Written::Words,
            Words::Erased => Written::Ciphertext,
            Words::AsStored => return Err(ExportError::Changed { position: stored.position, chat_id }),
        };
        if self.sealed.is_some_and(|before| before != written) {
            return Err(ExportError::ErasedMeanwhile(chat_id));
        }
        self.sealed = Some(written);
        if written == Written::Ciphertext {
            unread.insert(chat_id);
        }
        Ok(written == Written::Words)
    }
}

struct Exporter<'a, W> {
    out: &'a mut W,
    hasher: sha2::Sha256,
    line: Vec<u8>,
    events: u64,
}

impl<W: Write> Exporter<'_, W> {
    fn event(&mut self, stored: &Stored, words: bool, previous: Option<Digest>) -> Result<(), ExportError> {
        let event = &stored.event;
        let (encoding, json) = match event.encoding {
            Encoding::Plain => (line::Stored::Plain, Some(&event.data[..])),
            Encoding::Sealed => (line::Stored::Sealed, stored.json().filter(|_| words)),
        };
        let data = json.and_then(one_line);
        let entry = EventLine {
            position: stored.position,
            chat_id: event.chat_id,
            version: event.version,
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            schema: event.schema,
            recorded_at: event.recorded_at,
            actor: event.actor.clone(),
            command_id: event.command_id,
            causation_id: event.causation_id,
            trace_id: event.trace_id.clone(),
            encoding,
            previous_hash: previous,
            hash: event.hash,
            data,
            data_base64: json.filter(|_| data.is_none()).map(|bytes| STANDARD.encode(bytes)),
            sealed: if json.is_none() { Some(STANDARD.encode(&event.data)) } else { None },
        };
        self.put(&entry)?;
        if self.line.len() > LINE_BYTES_MAX {
            return Err(ExportError::TooLong(stored.position));
        }
        self.events += 1;
        Ok(())
    }

    fn put(&mut self, value: &impl serde::Serialize) -> Result<(), ExportError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value).map_err(std::io::Error::from)?;
        self.line.push(b'\n');
        self.hasher.update(&self.line);
        Ok(self.out.write_all(&self.line)?)
    }

    fn finish(mut self, streams: u64, chats: u64, heads: Digest) -> Result<Exported, ExportError> {
        let sha256 = Digest(self.hasher.clone().finalize().into());
        let (verbatim_export_end, events) = (FORMAT, self.events);
        self.put(&Trailer { verbatim_export_end, events, streams, heads, sha256 })?;
        self.out.flush()?;
        Ok(Exported { events, streams, chats, heads, sha256 })
    }
}

/// Bytes as they can stand in a line and be had from it again, one by one; `None` if they cannot.
fn one_line(bytes: &[u8]) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_slice(bytes).ok()?;
    let is_same = raw.get().len() == bytes.len() && !bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    is_same.then_some(raw)
}
