//! What a provider's own fields are kept with: the protocol and the provider that they belong to.
//!
//! Signatures and encrypted content mean something to the account that made them alone, and a provider refuses those of
//! another. So an encoder sends back what bears its own mark and treats everything else as foreign.

use serde_json::{Map, Value};

const PROTOCOL: &str = "protocol";
const PROVIDER: &str = "provider";

/// Metadata with these fields, marked as the provider's.
pub(crate) fn marked<const N: usize>(protocol: &str, provider: &str, fields: [(&str, Value); N]) -> Value {
    let mark = [(PROTOCOL, Value::from(protocol)), (PROVIDER, Value::from(provider))];
    Value::Object(mark.into_iter().chain(fields).map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The fields of metadata that this provider marked as its own; nothing if it is another's. Metadata that names no
/// provider belongs to all that speak its protocol.
pub(crate) fn own<'a>(metadata: Option<&'a Value>, protocol: &str, provider: &str) -> Option<&'a Map<String, Value>> {
    let fields = metadata?.as_object()?;
    let is = |field: &str, expected: &str| fields.get(field).and_then(Value::as_str) == Some(expected);
    let is_own = is(PROTOCOL, protocol) && (is(PROVIDER, provider) || !fields.contains_key(PROVIDER));
    is_own.then_some(fields)
}
