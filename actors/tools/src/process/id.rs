//! Names of processes and of those they belong to. Both become directory names, so both are narrow.

use serde::{Deserialize, Serialize};

/// Letters a name may have.
pub const NAME_LETTERS_MAX: usize = 120;

/// A name cannot be the name of a directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no name of a process: 1 to {NAME_LETTERS_MAX} letters, digits, `-` and `_`")]
pub struct InvalidName {
    /// What was given.
    pub name: String,
}

fn checked(name: &str) -> Result<String, InvalidName> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.is_empty() || name.len() > NAME_LETTERS_MAX || !name.chars().all(allowed) {
        return Err(InvalidName { name: name.chars().take(NAME_LETTERS_MAX).collect() });
    }
    Ok(name.to_owned())
}

macro_rules! name {
    ($(#[$meaning:meta])* $type:ident) => {
        $(#[$meaning])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name, if it can be one: 1 to 120 ASCII letters, digits, `-` and `_`.
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                checked(name).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(&name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Whose processes these are, usually a chat's id. Limits count per owner, and what an owner has goes with it.
    OwnerId
);

name!(
    /// A process's name among its owner's. The caller derives it from what asked for the process (a tool call's id), so that
    /// asking twice finds the first.
    ProcessId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_harmless_file_name() {
        for name in ["", ".", "..", "a/b", "../x", "a b", "é", "a\0b", &"x".repeat(NAME_LETTERS_MAX + 1)] {
            assert!(ProcessId::new(name).is_err(), "{name:?}");
            assert!(serde_json::from_value::<OwnerId>(name.into()).is_err(), "{name:?}");
        }
        assert_eq!(ProcessId::new("call_1-A").map(|id| id.to_string()), Ok("call_1-A".to_owned()));
    }
}
