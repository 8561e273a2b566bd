//! Keys that go in and never come out.

use verbatim_events::settings::{Provider, ProviderKind};
use verbatim_events_sql::seal::{SealingKey, new_key_bytes};

use super::*;

const KEY: &str = "sk-very-secret-4711";

fn keys() -> ProviderKeys {
    ProviderKeys::new(Environment::default(), Some(Arc::new(SealingKey::new(&new_key_bytes().expect("a key")))))
}

fn with(sealed: &str) -> Provider {
    Provider { api_key_sealed: Some(sealed.to_owned()), ..Provider::of(ProviderKind::OpenAiChat) }
}

#[test]
fn a_sealed_key_opens_for_its_provider_and_its_server_alone() {
    let keys = keys();
    let sealed = keys.seal("mine", KEY).expect("sealed");
    assert!(!sealed.contains("sk-") && sealed != keys.seal("mine", KEY).expect("sealed"), "no two are the same");
    let opened = keys.of("mine", &with(&sealed)).expect("it opens").expect("a key");
    assert_eq!(opened.expose(), KEY);
    assert_eq!(keys.of("other", &with(&sealed)), Err(KeyProblem::DoesNotOpen));
    assert_eq!(self::keys().of("mine", &with(&sealed)), Err(KeyProblem::DoesNotOpen));
    let none = ProviderKeys::new(Environment::default(), None);
    assert_eq!(none.of("mine", &with(&sealed)), Err(KeyProblem::NothingToSealWith));
    assert!(none.seal("mine", KEY).is_err());
}

#[test]
fn what_is_no_sealed_key_opens_nothing() {
    let keys = keys();
    let sealed = keys.seal("mine", KEY).expect("sealed");
    let cut = &sealed[..sealed.len() - 1];
    let other_format = sealed.replacen("1.", "2.", 1);
    for text in ["", "1", "1..", "1.zz.zz", "1.00.00", cut, &format!("{sealed}.00"), &other_format, "größe"] {
        assert_eq!(keys.of("mine", &with(text)), Err(KeyProblem::DoesNotOpen), "{text:?}");
    }
}

#[test]
fn a_variable_s_key_is_there_if_it_is_set() {
    let keys = ProviderKeys::new(environment(&[("A_KEY", KEY)]), None);
    let named =
        |variable: &str| Provider { api_key_env: Some(variable.to_owned()), ..Provider::of(ProviderKind::Anthropic) };
    assert!(keys.has("mine", &named("A_KEY")));
    assert!(!keys.has("mine", &named("B_KEY")) && !keys.has("mine", &Provider::of(ProviderKind::Anthropic)));
}
