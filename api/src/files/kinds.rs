//! Which kinds of files are kept, and whether a content is of the kind that it is said to be.

use serde::de::IgnoredAny;

/// The media types that are kept.
pub const MEDIA_TYPES: [&str; 9] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "application/pdf",
    "text/plain",
    "text/csv",
    "text/markdown",
    "application/json",
];

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    media_type: &'static str,
}

/// Why a content is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// Files of this kind are not kept.
    #[error("files of the type {0:?} are not kept; send one of: {kept}", kept = MEDIA_TYPES.join(", "))]
    NotKept(String),
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is something else.
    #[error("what stands in the file is not {0}")]
    SomethingElse(&'static str),
}

impl Kind {
    /// The kind of a `Content-Type`, its parameters left out.
    pub fn of(content_type: &str) -> Result<Kind, KindError> {
        let named = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let found = MEDIA_TYPES.into_iter().find(|kept| *kept == named);
        found.map(|media_type| Kind { media_type }).ok_or(KindError::NotKept(named))
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        self.media_type
    }

    /// A picture: a browser may show it by itself.
    pub fn is_image(self) -> bool {
        self.media_type.starts_with("image/")
    }

    /// How a name of such a file ends.
    pub fn ending(self) -> &'static str {
        match self.media_type {
            "image/png" => "png",
            "image/jpeg" => "jpg",
            "image/gif" => "gif",
            "image/webp" => "webp",
            "application/pdf" => "pdf",
            "text/csv" => "csv",
            "text/markdown" => "md",
            "application/json" => "json",
            _ => "txt",
        }
    }

    /// Refuses a content that is not of this kind.
    pub fn check(self, content: &[u8]) -> Result<(), KindError> {
        if content.is_empty() {
            return Err(KindError::Empty);
        }
        let fits = match self.media_type {
            "image/png" => content.starts_with(b"\x89PNG\r\n\x1a\n"),
            "image/jpeg" => content.starts_with(b"\xff\xd8\xff"),
            "image/gif" => content.starts_with(b"GIF87a") || content.starts_with(b"GIF89a"),
            "image/webp" => content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP"),
            "application/pdf" => content.starts_with(b"%PDF-"),
            "application/json" => serde_json::from_slice::<IgnoredAny>(content).is_ok(),
            _ => std::str::from_utf8(content).is_ok_and(|text| !text.contains('\0')),
        };
        if fits { Ok(()) } else { Err(KindError::SomethingElse(self.media_type)) }
    }
}
