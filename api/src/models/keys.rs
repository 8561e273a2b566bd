//! Where providers' keys come from: a variable of the environment, or sealed in the settings themselves.
//!
//! A key that is set over the API is sealed with the server's own key for secrets, which the vault keeps, and stands like
//! that in the settings' stream: of use to nobody without the vault and its master key.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use verbatim_events::settings::Provider;
use verbatim_events_sql::seal::SealingKey;
use verbatim_llm::Secret;

use crate::config::Environment;

/// The way in which keys are sealed now.
const FORMAT: &str = "1";

/// Why a key is not at hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// The server has no key for secrets, so nothing can be sealed or opened.
    #[error("the server has nothing to seal keys with; name a variable of its environment in api_key_env instead")]
    NothingToSealWith,
    /// It could not be sealed.
    #[error("the key could not be sealed")]
    NotSealed,
    /// It was sealed by another server, or was changed.
    #[error("the key was not sealed by this server; set it anew")]
    DoesNotOpen,
}

/// The keys of providers, as far as this node can get at them.
#[derive(Clone, Debug)]
pub struct ProviderKeys {
    environment: Environment,
    sealing: Arc<OnceLock<Arc<SealingKey>>>,
}

impl ProviderKeys {
    /// Keys in this environment, and those that this key seals.
    pub fn new(environment: Environment, sealing: Option<Arc<SealingKey>>) -> ProviderKeys {
        let keys = ProviderKeys { environment, sealing: Arc::default() };
        if let Some(sealing) = sealing {
            keys.unlock(sealing);
        }
        keys
    }

    /// From now on keys are sealed and opened with this key, in every clone. The first one stays.
    pub fn unlock(&self, sealing: Arc<SealingKey>) {
        // A second one would be the same: a server has one.
        let _ = self.sealing.set(sealing);
    }

    /// A provider's key; `None` where it has none, or its variable is not set.
    pub fn of(&self, name: &str, provider: &Provider) -> Result<Option<Secret>, KeyProblem> {
        match &provider.api_key_sealed {
            Some(sealed) => self.open(name, sealed).map(Some),
            None => {
                let variable = provider.api_key_env.as_deref();
                Ok(variable.and_then(|variable| self.environment.get(variable)).map(Secret::new))
            }
        }
    }

    /// Whether a provider's key is at hand.
    pub fn has(&self, name: &str, provider: &Provider) -> bool {
        matches!(self.of(name, provider), Ok(Some(_)))
    }

    /// A key as the settings hold it, for the provider of this name alone.
    pub fn seal(&self, name: &str, key: &str) -> Result<String, KeyProblem> {
        let sealing = self.sealing.get().ok_or(KeyProblem::NothingToSealWith)?;
        let sealed = sealing.seal(&bound_to(name), key.as_bytes()).map_err(|_| KeyProblem::NotSealed)?;
        Ok(format!("{FORMAT}.{}", digits(&sealed)))
    }

    fn open(&self, name: &str, text: &str) -> Result<Secret, KeyProblem> {
        let sealing = self.sealing.get().ok_or(KeyProblem::NothingToSealWith)?;
        let Some((FORMAT, sealed)) = text.split_once('.') else { return Err(KeyProblem::DoesNotOpen) };
        let sealed = bytes(sealed).ok_or(KeyProblem::DoesNotOpen)?;
        let key = sealing.open(&bound_to(name), &sealed).map_err(|_| KeyProblem::DoesNotOpen)?;
        std::str::from_utf8(&key).map(Secret::new).map_err(|_| KeyProblem::DoesNotOpen)
    }
}

/// What a provider's key is bound to: a sealed key does not pass for another provider's.
fn bound_to(name: &str) -> Vec<u8> {
    [b"provider key\0", name.as_bytes()].concat()
}

fn digits(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(value(*pair.first()?)? << 4 | value(*pair.get(1)?)?)).collect()
}
