//! Where providers' keys come from: a variable of the environment, or sealed in the settings themselves.
//!
//! A key that is set over the API is sealed with a fresh key of its own, and that one is wrapped by the server's master
//! key; both stand in the settings' stream and are of use to nobody without the master key.

use std::fmt::Write as _;
use std::sync::Arc;

use verbatim_events::settings::Provider;
use verbatim_events_sql::seal::{MasterKey, SealingKey, new_key_bytes};
use verbatim_llm::Secret;

use crate::config::Environment;

/// The way in which keys are sealed now.
const FORMAT: &str = "1";

/// Why a key is not at hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// The server has no master key, so nothing can be sealed or opened.
    #[error(
        "the server has no master key to seal keys with; name a variable of its environment in api_key_env instead"
    )]
    NoMasterKey,
    /// It could not be sealed.
    #[error("the key could not be sealed")]
    NotSealed,
    /// It was sealed with another master key, or was changed.
    #[error("the key does not open with the server's master key; set it anew")]
    DoesNotOpen,
}

/// The keys of providers, as far as this node can get at them.
#[derive(Clone, Debug)]
pub struct ProviderKeys {
    environment: Environment,
    master: Option<Arc<MasterKey>>,
}

impl ProviderKeys {
    /// Keys in this environment, and those that this master key seals.
    pub fn new(environment: Environment, master: Option<Arc<MasterKey>>) -> ProviderKeys {
        ProviderKeys { environment, master }
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
        let master = self.master.as_ref().ok_or(KeyProblem::NoMasterKey)?;
        let own = new_key_bytes().map_err(|_| KeyProblem::NotSealed)?;
        let bound = bound_to(name);
        let wrapped = master.wrap(&bound, &own).map_err(|_| KeyProblem::NotSealed)?;
        let sealed = SealingKey::new(&own).seal(&bound, key.as_bytes()).map_err(|_| KeyProblem::NotSealed)?;
        Ok(format!("{FORMAT}.{}.{}", digits(&wrapped), digits(&sealed)))
    }

    fn open(&self, name: &str, text: &str) -> Result<Secret, KeyProblem> {
        let master = self.master.as_ref().ok_or(KeyProblem::NoMasterKey)?;
        let mut pieces = text.split('.');
        let (format, wrapped, sealed) = (pieces.next(), pieces.next().and_then(bytes), pieces.next().and_then(bytes));
        let (Some(FORMAT), Some(wrapped), Some(sealed), None) = (format, wrapped, sealed, pieces.next()) else {
            return Err(KeyProblem::DoesNotOpen);
        };
        let bound = bound_to(name);
        let own = master.unwrap(&bound, &wrapped).map_err(|_| KeyProblem::DoesNotOpen)?;
        let key = SealingKey::new(&own).open(&bound, &sealed).map_err(|_| KeyProblem::DoesNotOpen)?;
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
