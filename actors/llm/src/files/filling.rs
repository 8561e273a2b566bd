//! Puts the bytes of files into a body that is about to be sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::{Semaphore, SemaphorePermit};
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::ids::Digest;
use verbatim_events::model::FileSource;
use verbatim_events::part::FileContent;

use super::{EDGE, TEXT_MAX_BYTES};

/// Bodies with files that this process holds at once, in KiB: what does not fit waits.
static ROOM_KIB: Semaphore = Semaphore::const_new(ROOM_MAX_KIB);
const ROOM_MAX_KIB: usize = 256 * 1024;

/// A body as it is sent.
pub(crate) struct Filled {
    pub(crate) body: Vec<u8>,
    /// The room that it takes, until it is sent.
    pub(crate) room: Option<SemaphorePermit<'static>>,
}

/// How a file's bytes are written in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Base64,
    Text,
}

/// A marker.
#[derive(Clone, Copy, Debug)]
struct Marker<'b> {
    manner: Manner,
    content: FileContent,
    file_id: &'b str,
}

impl<'b> Marker<'b> {
    fn read(bytes: &'b [u8]) -> Option<Marker<'b>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let manner = match text.chars().next()? {
            'b' => Manner::Base64,
            't' => Manner::Text,
            _ => return None,
        };
        let mut fields = text[1..].splitn(3, ':');
        let digest: Digest = fields.next()?.parse().ok()?;
        let size_bytes = fields.next()?.parse().ok()?;
        Some(Marker { manner, content: FileContent { digest, size_bytes }, file_id: fields.next()? })
    }

    /// About how much room it takes, filled, in bytes.
    fn room_bytes(&self) -> u64 {
        match self.manner {
            Manner::Base64 => self.content.size_bytes / 3 * 4 + 4,
            Manner::Text => self.content.size_bytes.min(TEXT_MAX_BYTES) * 2,
        }
    }
}

/// A piece of a body.
enum Piece<'b> {
    Bytes(&'b [u8]),
    Marker(Marker<'b>),
}

/// The pieces of a body; what is no marker although it stands where one would is left out.
fn pieces(body: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    body.split(|byte| *byte == EDGE).enumerate().filter_map(|(index, bytes)| {
        if index % 2 == 0 { Some(Piece::Bytes(bytes)) } else { Marker::read(bytes).map(Piece::Marker) }
    })
}

fn markers(body: &[u8]) -> impl Iterator<Item = Marker<'_>> {
    pieces(body).filter_map(|piece| match piece {
        Piece::Marker(marker) => Some(marker),
        Piece::Bytes(_) => None,
    })
}

/// Whether a body shows pictures or documents, which not every model takes.
pub(crate) fn shows_media(body: &[u8]) -> bool {
    markers(body).any(|marker| marker.manner == Manner::Base64)
}

/// The body as JSON for whoever looks at it later: where a file's bytes were stands which file it was.
pub fn legible(body: &[u8]) -> Vec<u8> {
    let mut legible = Vec::with_capacity(body.len());
    for piece in pieces(body) {
        match piece {
            Piece::Bytes(bytes) => legible.extend_from_slice(bytes),
            Piece::Marker(Marker { content, file_id, .. }) => {
                legible.extend_from_slice(format!("<file {file_id}, sha256 {}>", content.digest).as_bytes());
            }
        }
    }
    legible
}

/// The body with the bytes of its files. One whose file is gone is not sent: the next try knows, and goes without.
pub(crate) async fn fill(body: Vec<u8>, source: Option<&dyn FileSource>) -> Result<Filled, CallError> {
    if !body.contains(&EDGE) {
        return Ok(Filled { body, room: None });
    }
    let bytes = body.len() as u64 + markers(&body).map(|marker| marker.room_bytes()).sum::<u64>();
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(ROOM_MAX_KIB as u32);
    let room = ROOM_KIB.acquire_many(kib).await.ok();
    let mut filled = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    let mut failure = None;
    for piece in pieces(&body) {
        match piece {
            Piece::Bytes(bytes) => filled.extend_from_slice(bytes),
            Piece::Marker(marker) => {
                // All are asked for, so that the next try knows of every one that is gone.
                match (read(&marker, source).await, marker.manner) {
                    (Ok(content), Manner::Base64) => write_base64(&content, &mut filled),
                    (Ok(content), Manner::Text) => write_text(&content, &mut filled),
                    (Err(error), _) => failure = Some(error),
                }
            }
        }
    }
    match failure {
        None => Ok(Filled { body: filled, room }),
        Some(error) => Err(error),
    }
}

async fn read(marker: &Marker<'_>, source: Option<&dyn FileSource>) -> Result<Vec<u8>, CallError> {
    let failed = |message: &str| CallError::from(ChatError::retryable(ErrorKind::Generic, message));
    let gone = || failed("A file of the conversation is gone; the model is asked again without it.");
    let read = source.ok_or_else(gone)?.read(marker.file_id, marker.content).await;
    read.map_err(|problem| {
        tracing::error!(file.id = marker.file_id, problem, "A file of a conversation could not be read.");
        failed("A file of the conversation could not be read.")
    })?
    .ok_or_else(gone)
}

fn write_base64(content: &[u8], filled: &mut Vec<u8>) {
    let at = filled.len();
    filled.resize(at + content.len().div_ceil(3) * 4, 0);
    // It has exactly the room that it needs.
    let written = STANDARD.encode_slice(content, &mut filled[at..]).unwrap_or_default();
    filled.truncate(at + written);
}

/// Text inside a JSON string; what is too long is cut between two characters.
fn write_text(content: &[u8], filled: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(content);
    let end = text.floor_char_boundary(usize::try_from(TEXT_MAX_BYTES).unwrap_or(usize::MAX));
    let (shown, left_out) = text.split_at(end);
    write_escaped(shown, filled);
    if !left_out.is_empty() {
        write_escaped(&format!("\n[the last {} bytes of the file are left out]", left_out.len()), filled);
    }
}

fn write_escaped(text: &str, filled: &mut Vec<u8>) {
    // A text is always JSON; between its quotes stands what goes into another one.
    let quoted = serde_json::to_vec(text).unwrap_or_default();
    filled.extend_from_slice(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
}
