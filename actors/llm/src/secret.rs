//! A key that does not show itself.

use std::fmt;
use std::sync::Arc;

/// A provider's API key. It has no `Display` and no serialised form, and its `Debug` says nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a key. Surrounding white space, which files and environments tend to add, is no part of it.
    pub fn new(key: impl AsRef<str>) -> Secret {
        Secret(Arc::from(key.as_ref().trim()))
    }

    /// The key itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

impl From<String> for Secret {
    fn from(key: String) -> Secret {
        Secret::new(key)
    }
}

impl From<&str> for Secret {
    fn from(key: &str) -> Secret {
        Secret::new(key)
    }
}
