//! Providers and models: what is to become of them.

use serde_json::Value;
use verbatim_events::price::Price;
use verbatim_events::settings::{Given, KeyChange, ModelChange, ProviderChange, ProviderKind};

use super::{done, read};
use crate::error::Problem;
use crate::wire::reader::{Errors, Null, Object, below, string, wrong_type};

/// The longest key of a provider, in bytes.
pub(crate) const API_KEY_MAX_BYTES: usize = 4096;

/// A provider that is to be made or changed.
#[derive(Debug, Default, PartialEq)]
pub struct ProviderRequest {
    /// Its name, where the body says it.
    pub name: String,
    /// What becomes of it. Never holds a sealed key: that one is `api_key`, still to be sealed.
    pub change: ProviderChange,
    /// Its new key.
    pub api_key: Option<ApiKey>,
}

/// A key on its way in. Does not show itself.
#[derive(PartialEq)]
pub struct ApiKey(pub String);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ApiKey(***)")
    }
}

impl ProviderRequest {
    /// Reads and checks the body of a change of this kind.
    pub fn read(body: &[u8], given: Given) -> Result<ProviderRequest, Problem> {
        read(body, Null::IsAnError, |errors, object| {
            let name = named(errors, object, given);
            let kinds = ProviderKind::ALL.map(|kind| (kind.name(), kind));
            let kind = match given {
                Given::Part => object.word(errors, "kind", &kinds),
                Given::New | Given::Whole => object.need_word(errors, "kind", &kinds),
            };
            let base_url = nullable(errors, object, "base_url", string);
            let variable = nullable(errors, object, "api_key_env", string);
            let api_key = nullable(errors, object, "api_key", api_key);
            let (store, enabled) = (object.boolean(errors, "store"), object.boolean(errors, "enabled"));
            let key = match (&api_key, variable) {
                (Some(Some(_)), Some(Some(_))) => {
                    errors.add(object.pointer("api_key"), "give api_key or api_key_env, not both");
                    None
                }
                (_, Some(Some(variable))) => Some(KeyChange::Variable(variable)),
                (Some(Some(_)), _) => None,
                (Some(None), _) | (_, Some(None)) => Some(KeyChange::Gone),
                (None, None) => None,
            };
            let change = ProviderChange { kind, base_url, key, store, enabled };
            ProviderRequest { name, change, api_key: api_key.flatten() }
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// A model that is to be made or changed.
#[derive(Debug, Default, PartialEq)]
pub struct ModelRequest {
    /// Its name, where the body says it.
    pub name: String,
    /// What becomes of it.
    pub change: ModelChange,
}

impl ModelRequest {
    /// Reads and checks the body of a change of this kind.
    pub fn read(body: &[u8], given: Given) -> Result<ModelRequest, Problem> {
        read(body, Null::IsAnError, |errors, object| {
            let name = named(errors, object, given);
            let provider = match given {
                Given::Part => object.string(errors, "provider"),
                Given::New | Given::Whole => object.need_string(errors, "provider"),
            };
            let change = ModelChange {
                provider,
                provider_model: nullable(errors, object, "model", string),
                context_window: nullable(errors, object, "context_window", number),
                max_output_tokens: nullable(errors, object, "max_output_tokens", number),
                efforts: nullable(errors, object, "efforts", strings),
                provider_tools: object.array(errors, "provider_tools"),
                accepts: nullable(errors, object, "accepts", strings),
                prices: nullable(errors, object, "prices", prices),
                enabled: object.boolean(errors, "enabled"),
                default: object.boolean(errors, "default"),
            };
            ModelRequest { name, change }
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// The name of a new entry; of another one the path says it.
pub(super) fn named(errors: &mut Errors, object: &mut Object, given: Given) -> String {
    match given {
        Given::New => object.need_string(errors, "name").unwrap_or_default(),
        Given::Whole | Given::Part => String::new(),
    }
}

/// A member that may be null, which is another thing than absent: it is taken away.
pub(super) fn nullable<T>(
    errors: &mut Errors,
    object: &mut Object,
    name: &str,
    value_of: impl Fn(&mut Errors, &str, Value) -> Option<T>,
) -> Option<Option<T>> {
    match object.take_any(name)? {
        Value::Null => Some(None),
        value => value_of(errors, &object.pointer(name), value).map(Some),
    }
}

fn number(errors: &mut Errors, pointer: &str, value: Value) -> Option<u64> {
    let number = value.as_u64();
    if number.is_none() {
        wrong_type(errors, pointer, "a whole number, 0 or more", &value);
    }
    number
}

fn strings(errors: &mut Errors, pointer: &str, value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else {
        wrong_type(errors, pointer, "an array", &value);
        return None;
    };
    let values = values.into_iter().enumerate();
    values.map(|(index, value)| string(errors, &format!("{pointer}/{index}"), value)).collect()
}

/// A key is what a header can carry.
fn api_key(errors: &mut Errors, pointer: &str, value: Value) -> Option<ApiKey> {
    let key = string(errors, pointer, value)?;
    let key = key.trim();
    if (1..=API_KEY_MAX_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(ApiKey(key.to_owned()));
    }
    errors.add(pointer, format!("must have 1 to {API_KEY_MAX_BYTES} visible ASCII characters"));
    None
}

fn prices(errors: &mut Errors, pointer: &str, value: Value) -> Option<Price> {
    let mut object = Object::new(errors, pointer, value, Null::IsAbsent)?;
    let needed = |errors: &mut Errors, object: &mut Object, name| object.need_number(errors, name);
    let (input_micros, output_micros) =
        (needed(errors, &mut object, "input_micros"), needed(errors, &mut object, "output_micros"));
    let mut maybe = |errors: &mut Errors, name: &str| {
        let value = object.take(errors, name)?;
        number(errors, &below(pointer, name), value)
    };
    let (cache_read_micros, cache_write_micros) =
        (maybe(errors, "cache_read_micros"), maybe(errors, "cache_write_micros"));
    object.finish(errors);
    let price =
        Price { input_micros: input_micros?, output_micros: output_micros?, cache_read_micros, cache_write_micros };
    if let Err(problem) = price.check() {
        errors.add(below(pointer, problem.class), problem.to_string());
    }
    Some(price)
}
