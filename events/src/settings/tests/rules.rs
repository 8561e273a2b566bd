//! What is refused, what counts, and what is so already.

use super::super::entry::{MODEL_NAME, PROVIDER_NAME, check_name};
use super::*;
use crate::budget::{Budget, BudgetPeriod};

fn provider(name: &str, change: ProviderChange, given: Given) -> SettingsCommand {
    SettingsCommand::SetProvider { name: name.to_owned(), change, given }
}

fn model(name: &str, change: ModelChange, given: Given) -> SettingsCommand {
    SettingsCommand::SetModel { name: name.to_owned(), change, given }
}

fn of_kind(kind: ProviderKind) -> ProviderChange {
    ProviderChange { kind: Some(kind), ..ProviderChange::default() }
}

fn of_provider(provider: &str) -> ModelChange {
    ModelChange { provider: Some(provider.to_owned()), ..ModelChange::default() }
}

/// The settings after commands that are all allowed.
fn done(commands: &[SettingsCommand]) -> Settings {
    commands.iter().fold(Settings::default(), |settings, command| {
        let events = decide(&settings, &base(), command).unwrap_or_else(|rejection| panic!("{command:?}: {rejection}"));
        after(settings, &events).expect("what is decided is accepted")
    })
}

fn refusal(settings: &Settings, command: &SettingsCommand) -> SettingsRejection {
    decide(settings, &base(), command).expect_err("it is refused")
}

fn field(settings: &Settings, command: &SettingsCommand) -> &'static str {
    match refusal(settings, command) {
        SettingsRejection::Invalid { field, .. } => field,
        other => panic!("{other:?} names no field"),
    }
}

#[test]
fn what_is_set_wins_over_the_file_and_taken_back_shows_the_file_s_again() {
    let change = ModelChange { context_window: Some(Some(9)), enabled: Some(false), ..ModelChange::default() };
    let settings = done(&[model("large", change, Given::Part)]);
    let effective = Effective::of(&base(), &settings);
    let large = &effective.models["large"];
    assert_eq!((large.source, large.value.context_window, large.value.enabled), (Source::SetOverFile, Some(9), false));
    assert_eq!(large.value.provider_model, "large-1", "the rest is the file's");
    assert!(!effective.may_be_used("large"));
    let events =
        decide(&settings, &base(), &SettingsCommand::RemoveModel { name: "large".to_owned() }).expect("allowed");
    let effective = Effective::of(&base(), &after(settings, &events).expect("accepted"));
    assert_eq!((effective.models["large"].source, effective.may_be_used("large")), (Source::File, true));
}

#[test]
fn what_stands_in_the_file_alone_is_removed_there() {
    for (command, what) in [
        (SettingsCommand::RemoveModel { name: "large".to_owned() }, "model"),
        (SettingsCommand::RemoveProvider { name: "local".to_owned() }, "provider"),
    ] {
        let refused = refusal(&Settings::default(), &command);
        assert!(matches!(refused, SettingsRejection::InFile { what: known, .. } if known == what), "{refused:?}");
    }
    let unknown = SettingsCommand::RemoveModel { name: "nobody".to_owned() };
    assert_eq!(refusal(&Settings::default(), &unknown), SettingsRejection::ModelNotFound { name: "nobody".to_owned() });
}

#[test]
fn a_provider_that_models_use_stays() {
    let settings = done(&[
        provider("mine", of_kind(ProviderKind::OpenAiChat), Given::New),
        model("m-1", of_provider("mine"), Given::New),
        model("m-2", of_provider("mine"), Given::New),
    ]);
    let remove = SettingsCommand::RemoveProvider { name: "mine".to_owned() };
    let models = vec!["m-1".to_owned(), "m-2".to_owned()];
    assert_eq!(refusal(&settings, &remove), SettingsRejection::ProviderInUse { name: "mine".to_owned(), models });
    let over_file =
        done(&[provider("local", ProviderChange { enabled: Some(false), ..Default::default() }, Given::Part)]);
    let remove = SettingsCommand::RemoveProvider { name: "local".to_owned() };
    assert_eq!(decide(&over_file, &base(), &remove).map(|events| events.len()), Ok(1), "the file's is beneath it");
}

#[test]
fn the_default_model_changes_only_where_that_is_asked_for() {
    let settings = done(&[
        provider("mine", of_kind(ProviderKind::OpenAiChat), Given::New),
        model("new", ModelChange { default: Some(true), ..of_provider("mine") }, Given::New),
    ]);
    assert_eq!(Effective::of(&base(), &settings).default_model.as_deref(), Some("new"));
    let is_default = SettingsRejection::ModelIsDefault { name: "new".to_owned() };
    let part = |change| model("new", change, Given::Part);
    for command in [
        SettingsCommand::RemoveModel { name: "new".to_owned() },
        part(ModelChange { enabled: Some(false), ..Default::default() }),
        part(ModelChange { default: Some(false), ..Default::default() }),
    ] {
        assert_eq!(refusal(&settings, &command), is_default, "{command:?}");
    }
    let both = part(ModelChange { enabled: Some(false), default: Some(true), ..Default::default() });
    assert_eq!(field(&settings, &both), "default");
    let file_s = Settings::default();
    let disable = model("small", ModelChange { enabled: Some(false), ..Default::default() }, Given::Part);
    assert_eq!(refusal(&file_s, &disable), SettingsRejection::ModelIsDefault { name: "small".to_owned() });
}

#[test]
fn a_default_that_a_file_takes_away_is_replaced_by_the_next_best() {
    let settings = done(&[model("large", ModelChange { default: Some(true), ..Default::default() }, Given::Part)]);
    let mut without = base();
    without.models.remove("large");
    assert_eq!(Effective::of(&without, &settings).default_model.as_deref(), Some("small"));
    without.models.remove("small");
    assert_eq!(Effective::of(&without, &settings).default_model.as_deref(), Some("demo"));
    assert_eq!(Effective::of(&Base::default(), &settings).default_model, None);
}

#[test]
fn a_model_whose_provider_a_file_took_away_may_not_be_used() {
    let settings = done(&[model("mine", of_provider("local"), Given::New)]);
    let mut without = base();
    without.providers.remove("local");
    let effective = Effective::of(&without, &settings);
    assert!(!effective.may_be_used("mine") && effective.models.contains_key("mine"));
}

#[test]
fn new_is_new_and_a_part_is_of_something() {
    let settings = Settings::default();
    let kind = || of_kind(ProviderKind::OpenAiChat);
    let exists = refusal(&settings, &provider("local", kind(), Given::New));
    assert_eq!(exists, SettingsRejection::Exists { what: "provider", name: "local".to_owned() });
    let exists = refusal(&settings, &model("small", of_provider("local"), Given::New));
    assert_eq!(exists, SettingsRejection::Exists { what: "model", name: "small".to_owned() });
    let absent = refusal(&settings, &provider("nobody", kind(), Given::Part));
    assert_eq!(absent, SettingsRejection::ProviderNotFound { name: "nobody".to_owned() });
    let absent = refusal(&settings, &model("nobody", of_provider("local"), Given::Part));
    assert_eq!(absent, SettingsRejection::ModelNotFound { name: "nobody".to_owned() });
    assert_eq!(field(&settings, &provider("new", ProviderChange::default(), Given::Whole)), "kind");
    assert_eq!(field(&settings, &model("new", ModelChange::default(), Given::Whole)), "provider");
    assert_eq!(field(&settings, &model("new", of_provider("nobody"), Given::New)), "provider");
}

#[test]
fn a_whole_entry_forgets_what_it_does_not_mention_but_for_the_key() {
    let sealed = Some(KeyChange::Sealed("c2VhbGVk".to_owned()));
    let first = ProviderChange { key: sealed, store: Some(true), ..of_kind(ProviderKind::OpenAiResponses) };
    let settings = done(&[
        provider("mine", first, Given::New),
        provider("mine", of_kind(ProviderKind::OpenAiResponses), Given::Whole),
        model("m", ModelChange { context_window: Some(Some(5)), ..of_provider("mine") }, Given::New),
        model("m", of_provider("mine"), Given::Whole),
    ]);
    let mine = &settings.providers["mine"];
    assert_eq!((mine.store, mine.api_key_sealed.as_deref()), (false, Some("c2VhbGVk")));
    assert_eq!((settings.models["m"].context_window, settings.models["m"].provider_model.as_str()), (None, "m"));
}

#[test]
fn a_key_that_nobody_can_read_does_not_move_with_the_address() {
    let sealed = Some(KeyChange::Sealed("c2VhbGVk".to_owned()));
    let settings =
        done(&[provider("mine", ProviderChange { key: sealed, ..of_kind(ProviderKind::OpenAiChat) }, Given::New)]);
    let elsewhere =
        || ProviderChange { base_url: Some(Some("https://elsewhere.example/v1".to_owned())), ..Default::default() };
    assert_eq!(field(&settings, &provider("mine", elsewhere(), Given::Part)), "api_key");
    let whole = ProviderChange { kind: Some(ProviderKind::OpenAiChat), ..elsewhere() };
    assert_eq!(field(&settings, &provider("mine", whole, Given::Whole)), "api_key");
    for key in [KeyChange::Gone, KeyChange::Sealed("YW5ldw==".to_owned()), KeyChange::Variable("MY_API_KEY".to_owned())]
    {
        let change = ProviderChange { key: Some(key), ..elsewhere() };
        assert!(decide(&settings, &base(), &provider("mine", change, Given::Part)).is_ok());
    }
}

#[test]
fn a_variable_s_key_goes_to_another_address_only_where_it_is_named_again() {
    let key = Some(KeyChange::Variable("MY_API_KEY".to_owned()));
    let settings = done(&[provider("mine", ProviderChange { key, ..of_kind(ProviderKind::OpenAiChat) }, Given::New)]);
    let elsewhere =
        || ProviderChange { base_url: Some(Some("https://elsewhere.example/v1".to_owned())), ..Default::default() };
    let whole = || ProviderChange { kind: Some(ProviderKind::OpenAiChat), ..elsewhere() };
    for (settings, name, change, given) in [
        (&settings, "mine", elsewhere(), Given::Part),
        (&settings, "mine", whole(), Given::Whole),
        (&settings, "mine", of_kind(ProviderKind::Anthropic), Given::Part),
        // The file's own counts as well, until somebody says otherwise.
        (&Settings::default(), "env", elsewhere(), Given::Part),
        (&Settings::default(), "env", whole(), Given::Whole),
        (&Settings::default(), "env", of_kind(ProviderKind::OpenAiChat), Given::Part),
    ] {
        assert_eq!(field(settings, &provider(name, change.clone(), given)), "api_key_env", "{name}: {change:?}");
        for key in
            [KeyChange::Gone, KeyChange::Sealed("YW5ldw==".to_owned()), KeyChange::Variable("MY_API_KEY".to_owned())]
        {
            let change = ProviderChange { key: Some(key), ..change.clone() };
            assert!(decide(settings, &base(), &provider(name, change, given)).is_ok(), "{name}");
        }
    }
    // What changes nothing of where the key goes needs no key.
    let same = ProviderChange { enabled: Some(false), base_url: Some(None), ..of_kind(ProviderKind::OpenAiChat) };
    assert!(decide(&settings, &base(), &provider("mine", same, Given::Part)).is_ok());
}

#[test]
fn a_variable_that_is_no_key_s_is_refused_unless_the_file_names_it() {
    for (variable, allowed) in [
        ("OPENAI_API_KEY", true),
        ("HF_TOKEN", true),
        ("House_Key_7", true),
        ("HOME", false),
        ("DATABASE_URL", false),
        ("VERBATIM_MASTER_KEY", false),
        ("VERBATIM_ADMIN_KEY", false),
        ("lower_key", false),
        ("", false),
    ] {
        let key = Some(KeyChange::Variable(variable.to_owned()));
        let command = provider("mine", ProviderChange { key, ..of_kind(ProviderKind::OpenAiChat) }, Given::New);
        assert_eq!(decide(&Settings::default(), &base(), &command).is_ok(), allowed, "{variable:?}");
    }
}

#[test]
fn the_kind_of_a_provider_stays_while_a_model_has_tools_in_its_words() {
    let tools = Some(vec![serde_json::json!({ "type": "web_search" })]);
    let settings = done(&[
        provider("mine", of_kind(ProviderKind::OpenAiResponses), Given::New),
        model("m", ModelChange { provider_tools: tools, ..of_provider("mine") }, Given::New),
    ]);
    let refused = refusal(&settings, &provider("mine", of_kind(ProviderKind::Anthropic), Given::Part));
    assert_eq!(refused, SettingsRejection::ProviderInUse { name: "mine".to_owned(), models: vec!["m".to_owned()] });
}

#[test]
fn what_is_so_already_appends_nothing() {
    let commands = [
        provider("local", ProviderChange { enabled: Some(true), ..Default::default() }, Given::Part),
        model("small", ModelChange { default: Some(true), ..Default::default() }, Given::Part),
        model("large", ModelChange { default: Some(false), ..Default::default() }, Given::Part),
    ];
    for command in commands {
        assert_eq!(decide(&Settings::default(), &base(), &command), Ok(Vec::new()), "{command:?}");
    }
}

#[test]
fn an_event_out_of_turn_is_illegal() {
    let removed = |name: &str| SettingsEvent::ModelRemoved(ModelRemoved { name: name.to_owned() });
    assert!(after(Settings::default(), &[removed("nobody")]).is_err());
    let set = |name: &str| ModelSet { name: name.to_owned(), model: Model::of("p", "m") };
    assert!(after(Settings::default(), &[SettingsEvent::ModelSet(set("bad name"))]).is_err());
    let skipped = RecordedSetting {
        position: 2,
        version: 2,
        recorded_at: at(),
        hash: Digest::ZERO,
        event: SettingsEvent::ModelSet(set("m")),
    };
    assert!(Settings::default().apply(&skipped).is_err());
}

#[test]
fn a_model_accepts_what_chats_can_show() {
    for (accepts, right) in [
        (&["image/*"][..], true),
        (&["image/png", "application/pdf", "text/*", "text/csv"], true),
        (&[], true),
        (&["*/*"], false),
        (&["image"], false),
        (&["image/svg+xml"], false),
        (&["audio/*"], false),
        (&["Image/PNG"], false),
        (&["image/png"; 17], false),
    ] {
        let accepts = Some(Some(accepts.iter().map(|&media_type| media_type.to_owned()).collect()));
        let command = model("m", ModelChange { accepts, ..of_provider("local") }, Given::New);
        match decide(&Settings::default(), &base(), &command) {
            Ok(_) => assert!(right, "{command:?}"),
            Err(SettingsRejection::Invalid { field, .. }) => assert_eq!((field, right), ("accepts", false)),
            Err(other) => panic!("{command:?}: {other}"),
        }
    }
}

#[test]
fn names_are_bounded() {
    let long = "n".repeat(NAME_MAX_BYTES);
    for (name, provider, model) in [
        ("gpt-x", true, true),
        ("Gpt_4.1:2026", true, true),
        ("vendor/m@1", false, true),
        (long.as_str(), true, true),
        (&format!("{long}n"), false, false),
        ("", false, false),
        (".hidden", false, false),
        ("two words", false, false),
        ("größe", false, false),
    ] {
        assert_eq!(check_name(name, PROVIDER_NAME).is_ok(), provider, "{name:?}");
        assert_eq!(check_name(name, MODEL_NAME).is_ok(), model, "{name:?}");
    }
}

#[test]
fn addresses_are_checked() {
    for (url, right) in [
        ("https://api.example.com/v1", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:11434/v1", true),
        ("http://host", true),
        ("ftp://host/v1", false),
        ("api.example.com/v1", false),
        ("https://", false),
        ("https:///v1", false),
        ("https://ada:secret@host/v1", false),
        ("https://host:99999/", false),
        ("https://host:port/", false),
        ("https://host/v1?key=secret", false),
        ("https://host/v1#x", false),
        ("https://ho st/v1", false),
        ("https://host\\@other/v1", false),
        ("http://[::1", false),
        ("http://[]/", false),
    ] {
        let provider = Provider { base_url: Some(url.to_owned()), ..Provider::of(ProviderKind::OpenAiChat) };
        assert_eq!(provider.check().is_ok(), right, "{url:?}");
    }
}

#[test]
fn a_provider_fits_its_kind() {
    let demo = Provider { api_key_env: Some("A_KEY".to_owned()), ..Provider::of(ProviderKind::Demo) };
    assert_eq!(demo.check().map_err(|(field, _)| field), Err("api_key"));
    let stored = Provider { store: true, ..Provider::of(ProviderKind::Anthropic) };
    assert_eq!(stored.check().map_err(|(field, _)| field), Err("store"));
}

#[test]
fn a_budget_is_set_changed_and_taken_back() {
    let base = base();
    let budget = Budget { period: BudgetPeriod::Month, limit_micros: Some(1), limit_tokens: None };
    let set = |owner: &str, budget| SettingsCommand::SetBudget { owner: owner.to_owned(), budget };
    let remove = SettingsCommand::RemoveBudget { owner: "ada".to_owned() };
    let missing = Err(SettingsRejection::BudgetNotFound { owner: "ada".to_owned() });
    assert_eq!(decide(&Settings::default(), &base, &remove), missing);
    let events = decide(&Settings::default(), &base, &set("ada", budget)).expect("a budget");
    let settings = after(Settings::default(), &events).expect("legal");
    assert_eq!(settings.budgets["ada"], budget);
    assert_eq!(decide(&settings, &base, &set("ada", budget)), Ok(Vec::new()), "it is so already");
    let other = Budget { period: BudgetPeriod::Day, ..budget };
    let events = decide(&settings, &base, &set("ada", other)).expect("another budget");
    let settings = after(settings, &events).expect("legal");
    assert_eq!(settings.budgets["ada"], other);
    let events = decide(&settings, &base, &remove).expect("it is there");
    let settings = after(settings, &events).expect("legal");
    assert!(settings.budgets.is_empty());
    assert_eq!(decide(&settings, &base, &remove), missing);
    for owner in ["", "  ", "a\nb", &"x".repeat(257)] {
        let refused = decide(&settings, &base, &set(owner, budget));
        assert!(matches!(refused, Err(SettingsRejection::Invalid { field: "owner", .. })), "{owner:?}: {refused:?}");
    }
}
