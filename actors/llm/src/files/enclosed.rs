//! The files of one message, while the message is being written: stand-ins in its texts, and markers in their place in
//! its bytes.

use verbatim_events::ids::Digest;
use verbatim_events::message::Message;
use verbatim_events::part::{FileContent, FileKind, Part};

use super::EDGE;

/// How the bytes of a file are written.
const BASE64: char = 'b';
const TEXT: char = 't';

/// A file that the model is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'m> {
    pub(crate) kind: FileKind,
    pub(crate) media_type: &'m str,
    pub(crate) name: &'m str,
    file_id: &'m str,
    content: FileContent,
}

/// The files of a message.
#[derive(Debug)]
pub(crate) struct Enclosed {
    /// What every stand-in begins with. It holds a digest of the message, so no text of the message holds it by chance.
    stem: String,
}

impl Enclosed {
    /// The files of a message; none where it shows none.
    pub(crate) fn of(message: &Message) -> Option<Enclosed> {
        if !message.parts.iter().any(|part| Enclosed::file(part).is_some()) {
            return None;
        }
        let said = serde_json::to_vec(&message.parts).unwrap_or_default();
        let digest = Digest::of(&said).to_string();
        Some(Enclosed { stem: format!("file-{}-", &digest[..32]) })
    }

    /// The file that a part shows.
    pub(crate) fn file(part: &Part) -> Option<Shown<'_>> {
        match part {
            Part::File { file_id, media_type, name, content: Some(content) } => {
                Some(Shown { kind: FileKind::of(media_type)?, media_type, name, file_id, content: *content })
            }
            _ => None,
        }
    }

    /// Stands for the file's bytes in base64.
    pub(crate) fn base64(&self, file: &Shown<'_>) -> String {
        self.stand_in(BASE64, file)
    }

    /// Stands for the file's bytes in base64, as a URL that holds them.
    pub(crate) fn data_url(&self, file: &Shown<'_>) -> String {
        format!("data:{};base64,{}", file.media_type, self.base64(file))
    }

    /// What a model reads of a text file: its name, and what stands in it.
    pub(crate) fn text(&self, file: &Shown<'_>) -> String {
        format!("[attached file {:?}, {}]\n{}", file.name, file.media_type, self.stand_in(TEXT, file))
    }

    fn stand_in(&self, how: char, file: &Shown<'_>) -> String {
        let FileContent { digest, size_bytes } = file.content;
        format!("{}{how}{digest}:{size_bytes}:{};", self.stem, file.file_id)
    }

    /// Puts markers in the place of stand-ins.
    pub(crate) fn settle(&self, bytes: Vec<u8>) -> Vec<u8> {
        let stem = self.stem.as_bytes();
        let mut settled = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some(at) = rest.windows(stem.len()).position(|window| window == stem) {
            let (before, found) = rest.split_at(at);
            let found = &found[stem.len()..];
            let end = found.iter().position(|byte| *byte == b';').unwrap_or(found.len());
            settled.extend_from_slice(before);
            settled.push(EDGE);
            settled.extend_from_slice(&found[..end]);
            settled.push(EDGE);
            rest = found.get(end + 1..).unwrap_or_default();
        }
        settled.extend_from_slice(rest);
        settled
    }
}
