//! Which changes of the settings are allowed, and what happens by them.

use super::entry::{MODEL_NAME, PROVIDER_NAME, check_name, check_owner};
use super::templates::{self, TemplateChange};
use super::{
    Base, BudgetRemoved, BudgetSet, DefaultModelSet, Effective, Model, ModelRemoved, ModelSet, Provider, ProviderKind,
    ProviderRemoved, ProviderSet, Settings, SettingsEvent, Source,
};
use crate::budget::Budget;
use crate::price::Price;

/// How many providers may be set.
const PROVIDERS_MAX: usize = 100;

/// How many models may be set.
const MODELS_MAX: usize = 1000;

/// How many owners may have budgets of their own.
const BUDGETS_MAX: usize = 100_000;

/// The longest name of a variable, in bytes.
const VARIABLE_MAX_BYTES: usize = 128;

/// What a change says of what it does not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// The entry must be new; the rest is as usual.
    New,
    /// The entry becomes what the change says; the rest is as usual. It need not be there yet.
    Whole,
    /// The entry must be there; the rest stays as it is.
    Part,
}

/// What becomes of a provider's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It has none.
    Gone,
    /// It is in this environment variable.
    Variable(String),
    /// It is this one, sealed.
    Sealed(String),
}

/// A change of a provider; `None` is not mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderChange {
    /// Its wire protocol.
    pub kind: Option<ProviderKind>,
    /// Where it is; `Some(None)`: where the protocol's makers listen.
    pub base_url: Option<Option<String>>,
    /// Its key. A sealed one that is not mentioned stays, in every kind of change; but where the address or the kind changes,
    /// a provider's key must be mentioned.
    pub key: Option<KeyChange>,
    /// It keeps its answers.
    pub store: Option<bool>,
    /// Calls are made.
    pub enabled: Option<bool>,
}

/// A change of a model; `None` is not mentioned, `Some(None)` is taken away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelChange {
    /// Its provider's name.
    pub provider: Option<String>,
    /// What the provider calls it; its own name if taken away.
    pub provider_model: Option<Option<String>>,
    /// Tokens it can take in.
    pub context_window: Option<Option<u64>>,
    /// Tokens it may put out.
    pub max_output_tokens: Option<Option<u64>>,
    /// The efforts it knows.
    pub efforts: Option<Option<Vec<String>>>,
    /// The tools that its provider may run itself.
    pub provider_tools: Option<Vec<serde_json::Value>>,
    /// The media types that it takes besides text.
    pub accepts: Option<Option<Vec<String>>>,
    /// What its tokens cost.
    pub prices: Option<Option<Price>>,
    /// Chats may use it.
    pub enabled: Option<bool>,
    /// Chats that name no model use it.
    pub default: Option<bool>,
}

/// A request to change the settings.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingsCommand {
    /// Makes or changes a provider.
    SetProvider {
        /// Its name.
        name: String,
        /// What becomes of it.
        change: ProviderChange,
        /// What becomes of the rest.
        given: Given,
    },
    /// Takes back what was set of a provider.
    RemoveProvider {
        /// Its name.
        name: String,
    },
    /// Makes or changes a model.
    SetModel {
        /// Its name.
        name: String,
        /// What becomes of it.
        change: ModelChange,
        /// What becomes of the rest.
        given: Given,
    },
    /// Takes back what was set of a model.
    RemoveModel {
        /// Its name.
        name: String,
    },
    /// Gives an owner a budget, or another one.
    SetBudget {
        /// Whose.
        owner: String,
        /// All of it.
        budget: Budget,
    },
    /// Takes an owner's budget back.
    RemoveBudget {
        /// Whose.
        owner: String,
    },
    /// Makes or changes a template of workspaces.
    SetTemplate {
        /// Its name.
        name: String,
        /// What becomes of it.
        change: TemplateChange,
        /// What becomes of the rest.
        given: Given,
    },
    /// Takes back what was set of a template. Workspaces that were made from it stay as they are.
    RemoveTemplate {
        /// Its name.
        name: String,
    },
}

/// Why a change is refused. Nothing happens then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsRejection {
    /// There is no such provider.
    #[error("there is no provider {name:?}")]
    ProviderNotFound {
        /// The name.
        name: String,
    },
    /// There is no such model.
    #[error("there is no model {name:?}")]
    ModelNotFound {
        /// The name.
        name: String,
    },
    /// The owner has no budget of their own.
    #[error("no budget was set for {owner:?}")]
    BudgetNotFound {
        /// The owner.
        owner: String,
    },
    /// There is no such template.
    #[error("there is no template {name:?}")]
    TemplateNotFound {
        /// The name.
        name: String,
    },
    /// What was to be new is there.
    #[error("there is a {what} {name:?} already")]
    Exists {
        /// `provider`, `model` or `template`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Models need it.
    #[error("the provider {name:?} is used by models: {}", models.join(", "))]
    ProviderInUse {
        /// The provider.
        name: String,
        /// The models.
        models: Vec<String>,
    },
    /// Chats that name no model need it.
    #[error("{name:?} is the default model; make another one the default first")]
    ModelIsDefault {
        /// The model.
        name: String,
    },
    /// It stands in the file, and the file alone.
    #[error("the {what} {name:?} is set in the server's file; it can be {} here, and removed there", changed(what))]
    InFile {
        /// `provider`, `model` or `template`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There are as many as there may be.
    #[error("at most {max} {what}s may be set")]
    TooMany {
        /// `provider`, `model` or `template`.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A field is wrong.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// In what way.
        problem: String,
    },
}

/// What an entry of the file can be in place of removed.
fn changed(what: &str) -> &'static str {
    if what == "template" { "replaced" } else { "disabled" }
}

pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> SettingsRejection {
    SettingsRejection::Invalid { field, problem: problem.into() }
}

/// Whether a variable may be named as a key's: others hold what no provider is to be sent, and whoever may set a
/// provider's address could read them there.
pub fn is_key_variable(name: &str) -> bool {
    let shaped = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let meant = name.ends_with("_KEY") || name.ends_with("_TOKEN");
    shaped && meant && name.len() <= VARIABLE_MAX_BYTES && !name.starts_with("VERBATIM_")
}

/// What happens by a command, given what was set and what a node's file says. No event where it is so already.
pub fn decide(
    settings: &Settings,
    base: &Base,
    command: &SettingsCommand,
) -> Result<Vec<SettingsEvent>, SettingsRejection> {
    let before = Effective::of(base, settings);
    match command {
        SettingsCommand::SetProvider { name, change, given } => {
            set_provider(settings, base, &before, name, change, *given)
        }
        SettingsCommand::RemoveProvider { name } => {
            match before.providers.get(name).map(|entry| entry.source) {
                None => return Err(SettingsRejection::ProviderNotFound { name: name.clone() }),
                Some(Source::File) => return Err(SettingsRejection::InFile { what: "provider", name: name.clone() }),
                Some(Source::SetOverFile) => {}
                Some(Source::Set) => {
                    let models = before.models_of(name);
                    if !models.is_empty() {
                        return Err(SettingsRejection::ProviderInUse { name: name.clone(), models });
                    }
                }
            }
            Ok(vec![SettingsEvent::ProviderRemoved(ProviderRemoved { name: name.clone() })])
        }
        SettingsCommand::SetModel { name, change, given } => set_model(settings, base, &before, name, change, *given),
        SettingsCommand::RemoveModel { name } => {
            match before.models.get(name).map(|entry| entry.source) {
                None => return Err(SettingsRejection::ModelNotFound { name: name.clone() }),
                Some(Source::File) => return Err(SettingsRejection::InFile { what: "model", name: name.clone() }),
                Some(Source::Set | Source::SetOverFile) => {}
            }
            let mut after = settings.clone();
            after.models.remove(name);
            keeps_default(&before, base, &after)?;
            Ok(vec![SettingsEvent::ModelRemoved(ModelRemoved { name: name.clone() })])
        }
        SettingsCommand::SetBudget { owner, budget } => {
            check_owner(owner).map_err(|problem| invalid("owner", problem))?;
            if settings.budgets.get(owner) == Some(budget) {
                return Ok(Vec::new());
            }
            if settings.budgets.len() >= BUDGETS_MAX && !settings.budgets.contains_key(owner) {
                return Err(SettingsRejection::TooMany { what: "budget", max: BUDGETS_MAX });
            }
            Ok(vec![SettingsEvent::BudgetSet(BudgetSet { owner: owner.clone(), budget: *budget })])
        }
        SettingsCommand::RemoveBudget { owner } => {
            if !settings.budgets.contains_key(owner) {
                return Err(SettingsRejection::BudgetNotFound { owner: owner.clone() });
            }
            Ok(vec![SettingsEvent::BudgetRemoved(BudgetRemoved { owner: owner.clone() })])
        }
        SettingsCommand::SetTemplate { name, change, given } => {
            templates::set(settings, base, &before, name, change, *given)
        }
        SettingsCommand::RemoveTemplate { name } => templates::remove(&before, name),
    }
}

/// Refuses what would make another model the default one unasked.
fn keeps_default(before: &Effective, base: &Base, after: &Settings) -> Result<(), SettingsRejection> {
    match &before.default_model {
        Some(name) if Effective::of(base, after).default_model.as_ref() != Some(name) => {
            Err(SettingsRejection::ModelIsDefault { name: name.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

fn set_provider(
    settings: &Settings,
    base: &Base,
    before: &Effective,
    name: &str,
    change: &ProviderChange,
    given: Given,
) -> Result<Vec<SettingsEvent>, SettingsRejection> {
    let present = before.providers.get(name).map(|entry| &entry.value);
    match (given, present) {
        (Given::New, Some(_)) => return Err(SettingsRejection::Exists { what: "provider", name: name.to_owned() }),
        (Given::Part, None) => return Err(SettingsRejection::ProviderNotFound { name: name.to_owned() }),
        _ => {}
    }
    check_name(name, PROVIDER_NAME).map_err(|problem| invalid("name", problem))?;
    let mut provider = match (given, present, change.kind) {
        (Given::Part, Some(present), _) => present.clone(),
        (_, _, Some(kind)) => Provider::of(kind),
        (_, _, None) => return Err(invalid("kind", "a provider has a kind")),
    };
    if let Some(kind) = change.kind {
        provider.kind = kind;
    }
    if let Some(base_url) = &change.base_url {
        provider.base_url = base_url.clone();
    }
    if let Some(store) = change.store {
        provider.store = store;
    }
    if let Some(enabled) = change.enabled {
        provider.enabled = enabled;
    }
    match &change.key {
        Some(KeyChange::Gone) => (provider.api_key_env, provider.api_key_sealed) = (None, None),
        Some(KeyChange::Variable(variable)) => {
            // A variable that the file names for a provider is the administrator's own word.
            let in_file = base.providers.values().any(|known| known.api_key_env.as_ref() == Some(variable));
            if !in_file && !is_key_variable(variable) {
                let problem =
                    "a key's variable is named in capitals, ends with _KEY or _TOKEN and is none of VERBATIM_*";
                return Err(invalid("api_key_env", problem));
            }
            (provider.api_key_env, provider.api_key_sealed) = (Some(variable.clone()), None);
        }
        Some(KeyChange::Sealed(sealed)) => {
            (provider.api_key_env, provider.api_key_sealed) = (None, Some(sealed.clone()));
        }
        None => {
            if let Some(present) = present {
                let field = match (&present.api_key_sealed, &present.api_key_env) {
                    (Some(_), _) => Some("api_key"),
                    (None, Some(_)) => Some("api_key_env"),
                    (None, None) => None,
                };
                // Nobody can read the key; sending it elsewhere would be a way to. A variable is as good as what it holds.
                if let Some(field) = field
                    && (&present.base_url, present.kind) != (&provider.base_url, provider.kind)
                {
                    let problem = "the provider's address or kind changes: name its key anew, in api_key or api_key_env, \
                                   or give null";
                    return Err(invalid(field, problem));
                }
                provider.api_key_sealed = present.api_key_sealed.clone();
            }
        }
    }
    provider.check().map_err(|(field, problem)| invalid(field, problem))?;
    if present == Some(&provider) {
        return Ok(Vec::new());
    }
    if present.is_some_and(|present| present.kind != provider.kind) {
        // Tools of a provider's are in its protocol's words.
        let of_it = before.models.iter().filter(|(_, entry)| entry.value.provider == name);
        let with_tools = of_it.filter(|(_, entry)| !entry.value.provider_tools.is_empty());
        let models: Vec<String> = with_tools.map(|(model, _)| model.clone()).collect();
        if !models.is_empty() {
            return Err(SettingsRejection::ProviderInUse { name: name.to_owned(), models });
        }
    }
    if settings.providers.len() >= PROVIDERS_MAX && !settings.providers.contains_key(name) {
        return Err(SettingsRejection::TooMany { what: "provider", max: PROVIDERS_MAX });
    }
    Ok(vec![SettingsEvent::ProviderSet(ProviderSet { name: name.to_owned(), provider })])
}

fn set_model(
    settings: &Settings,
    base: &Base,
    before: &Effective,
    name: &str,
    change: &ModelChange,
    given: Given,
) -> Result<Vec<SettingsEvent>, SettingsRejection> {
    let present = before.models.get(name).map(|entry| &entry.value);
    match (given, present) {
        (Given::New, Some(_)) => return Err(SettingsRejection::Exists { what: "model", name: name.to_owned() }),
        (Given::Part, None) => return Err(SettingsRejection::ModelNotFound { name: name.to_owned() }),
        _ => {}
    }
    check_name(name, MODEL_NAME).map_err(|problem| invalid("name", problem))?;
    let mut model = match (given, present, &change.provider) {
        (Given::Part, Some(present), _) => present.clone(),
        (_, _, Some(provider)) => Model::of(provider, name),
        (_, _, None) => return Err(invalid("provider", "a model has a provider")),
    };
    if let Some(provider) = &change.provider {
        model.provider = provider.clone();
    }
    if let Some(provider_model) = &change.provider_model {
        model.provider_model = provider_model.clone().unwrap_or_else(|| name.to_owned());
    }
    if let Some(tokens) = change.context_window {
        model.context_window = tokens;
    }
    if let Some(tokens) = change.max_output_tokens {
        model.max_output_tokens = tokens;
    }
    if let Some(efforts) = &change.efforts {
        model.efforts = efforts.clone();
    }
    if let Some(tools) = &change.provider_tools {
        model.provider_tools = tools.clone();
    }
    if let Some(accepts) = &change.accepts {
        model.accepts = accepts.clone();
    }
    if let Some(prices) = change.prices {
        model.prices = prices;
    }
    if let Some(enabled) = change.enabled {
        model.enabled = enabled;
    }
    model.check().map_err(|(field, problem)| invalid(field, problem))?;
    if !before.providers.contains_key(&model.provider) {
        let known: Vec<&str> = before.providers.keys().map(String::as_str).collect();
        let problem = format!("there is no provider {:?}; there are: {}", model.provider, known.join(", "));
        return Err(invalid("provider", problem));
    }
    let is_default = before.default_model.as_deref() == Some(name);
    if change.default == Some(true) && !model.enabled {
        return Err(invalid("default", "a model that is disabled cannot be the default one"));
    }
    if change.default == Some(false) && is_default {
        return Err(SettingsRejection::ModelIsDefault { name: name.to_owned() });
    }
    let mut events = Vec::new();
    let mut after = settings.clone();
    if present != Some(&model) {
        if settings.models.len() >= MODELS_MAX && !settings.models.contains_key(name) {
            return Err(SettingsRejection::TooMany { what: "model", max: MODELS_MAX });
        }
        after.models.insert(name.to_owned(), model.clone());
        events.push(SettingsEvent::ModelSet(ModelSet { name: name.to_owned(), model }));
    }
    if change.default == Some(true) && !is_default {
        events.push(SettingsEvent::DefaultModelSet(DefaultModelSet { name: name.to_owned() }));
    } else {
        keeps_default(before, base, &after)?;
    }
    Ok(events)
}
