//! Templates: what is refused, what counts, and what is so already.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::template::{ParameterConfig, ParameterType};

fn set(name: &str, change: TemplateChange, given: Given) -> SettingsCommand {
    SettingsCommand::SetTemplate { name: name.to_owned(), change, given }
}

fn remove(name: &str) -> SettingsCommand {
    SettingsCommand::RemoveTemplate { name: name.to_owned() }
}

fn at_path(path: &str) -> TemplateChange {
    TemplateChange {
        provisioner: Some(ProvisionerKind::Local),
        path: Some(Some(path.into())),
        ..TemplateChange::default()
    }
}

fn described(words: &str) -> TemplateChange {
    TemplateChange { description: Some(Some(words.to_owned())), ..TemplateChange::default() }
}

fn with_parameter(config: ParameterConfig) -> TemplateChange {
    TemplateChange { parameters: Some([("p".to_owned(), config)].into()), ..at_path("/srv/a") }
}

/// The settings after a command that is allowed.
fn then(settings: Settings, command: &SettingsCommand) -> Settings {
    let events = decide(&settings, &base(), command).unwrap_or_else(|rejection| panic!("{command:?}: {rejection}"));
    after(settings, &events).expect("what is decided is accepted")
}

#[test]
fn a_template_is_made_changed_and_taken_back() {
    let settings = then(Settings::default(), &set("web", at_path("/srv/web"), Given::New));
    assert_eq!(settings.templates["web"], local_template("/srv/web"));
    let settings = then(settings, &set("web", described("A site"), Given::Part));
    assert_eq!(settings.templates["web"].path.as_deref(), Some("/srv/web".as_ref()), "the rest stays");
    assert_eq!(decide(&settings, &base(), &set("web", described("A site"), Given::Part)), Ok(Vec::new()));
    let settings = then(settings, &set("web", at_path("/srv/web"), Given::Whole));
    assert_eq!(settings.templates["web"].description, None, "a whole one forgets what it does not mention");
    let effective = Effective::of(&base(), &settings);
    assert_eq!((effective.templates["web"].source, effective.templates["blank"].source), (Source::Set, Source::File));
    let settings = then(settings, &remove("web"));
    assert!(settings.templates.is_empty());
    let missing = SettingsRejection::TemplateNotFound { name: "web".to_owned() };
    assert_eq!(decide(&settings, &base(), &remove("web")), Err(missing));
}

#[test]
fn what_is_set_wins_over_the_file_and_taken_back_shows_the_file_s_again() {
    let settings = then(Settings::default(), &set("blank", described("Ours"), Given::Part));
    let blank = Effective::of(&base(), &settings).templates.remove("blank").expect("it is there");
    assert_eq!((blank.source, blank.value.description.as_deref()), (Source::SetOverFile, Some("Ours")));
    assert_eq!(blank.value.path.as_deref(), Some("/srv/templates/blank".as_ref()), "the rest is the file's");
    let settings = then(settings, &remove("blank"));
    let blank = Effective::of(&base(), &settings).templates.remove("blank").expect("it is there");
    assert_eq!((blank.source, blank.value), (Source::File, local_template("/srv/templates/blank")));
    let refused = decide(&settings, &base(), &remove("blank")).expect_err("it is the file's");
    assert_eq!(refused, SettingsRejection::InFile { what: "template", name: "blank".to_owned() });
    assert!(refused.to_string().contains("replaced here"), "{refused}");
}

#[test]
fn what_is_wrong_is_refused_by_its_field() {
    let coder = TemplateChange { provisioner: Some(ProvisionerKind::Coder), ..TemplateChange::default() };
    let local = TemplateChange { provisioner: Some(ProvisionerKind::Local), ..TemplateChange::default() };
    let text = |text: &str| Some(Some(text.to_owned()));
    let parameter = |kind, default, options: &[serde_json::Value]| {
        with_parameter(ParameterConfig { kind, default, options: options.to_vec(), ..ParameterConfig::default() })
    };
    for (name, change, field) in [
        ("", at_path("/srv/a"), "name"),
        ("..", at_path("/srv/a"), "name"),
        ("a b", at_path("/srv/a"), "name"),
        ("a/b", at_path("/srv/a"), "name"),
        (&"n".repeat(65), at_path("/srv/a"), "name"),
        ("a", TemplateChange::default(), "provisioner"),
        ("a", coder.clone(), "provisioner"),
        ("a", local, "path"),
        ("a", at_path("srv/a"), "path"),
        ("a", at_path(""), "path"),
        ("a", at_path(&format!("/{}", "p".repeat(4096))), "path"),
        ("a", TemplateChange { template: text("x"), ..at_path("/srv/a") }, "template"),
        ("a", TemplateChange { path: Some(Some("/srv/a".into())), ..coder.clone() }, "path"),
        ("a", TemplateChange { description: text(&"d".repeat(65 * 1024)), ..at_path("/srv/a") }, "description"),
        ("a", parameter(ParameterType::Number, Some(json!("many")), &[]), "parameters"),
        ("a", parameter(ParameterType::String, Some(json!("c")), &[json!("a"), json!("b")]), "parameters"),
        ("a", parameter(ParameterType::Bool, None, &[json!(1)]), "parameters"),
        ("a", parameter(ParameterType::List, Some(json!(vec!["text"; 20_000])), &[]), "parameters"),
    ] {
        match decide(&Settings::default(), &base(), &set(name, change.clone(), Given::Whole)) {
            Err(SettingsRejection::Invalid { field: refused, .. }) => {
                assert_eq!(refused, field, "{name:?}: {change:?}")
            }
            other => panic!("{name:?}: {change:?}: {other:?}"),
        }
    }
    let with_coder = Base { has_coder: true, ..base() };
    assert!(decide(&Settings::default(), &with_coder, &set("a", coder, Given::New)).is_ok());
}

#[test]
fn new_is_new_and_a_part_is_of_something() {
    let settings = Settings::default();
    let exists = SettingsRejection::Exists { what: "template", name: "blank".to_owned() };
    assert_eq!(decide(&settings, &base(), &set("blank", at_path("/srv/a"), Given::New)), Err(exists));
    let absent = SettingsRejection::TemplateNotFound { name: "nobody".to_owned() };
    assert_eq!(decide(&settings, &base(), &set("nobody", described("x"), Given::Part)), Err(absent));
}

#[test]
fn there_are_so_many_and_no_more() {
    let mut settings = Settings::default();
    for number in 0..TEMPLATES_MAX {
        settings = then(settings, &set(&format!("t-{number}"), at_path("/srv/a"), Given::New));
    }
    let refused = decide(&settings, &base(), &set("one-more", at_path("/srv/a"), Given::New));
    assert_eq!(refused, Err(SettingsRejection::TooMany { what: "template", max: TEMPLATES_MAX }));
    assert!(decide(&settings, &base(), &set("t-1", described("changed"), Given::Part)).is_ok());
}

#[test]
fn an_event_out_of_turn_is_illegal() {
    let removed = SettingsEvent::TemplateRemoved(TemplateRemoved { name: "nobody".to_owned() });
    assert!(after(Settings::default(), &[removed]).is_err());
    let bare = TemplateConfig { parameters: BTreeMap::new(), ..TemplateConfig::of(ProvisionerKind::Local) };
    for (name, template) in [("web", bare), ("a b", local_template("/srv/a")), ("web", local_template("srv/a"))] {
        let set = SettingsEvent::TemplateSet(TemplateSet { name: name.to_owned(), template });
        assert!(after(Settings::default(), &[set]).is_err());
    }
}
