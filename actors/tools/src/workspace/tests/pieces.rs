use serde_json::{Map, Value, json};

use super::super::names::{candidates, is_valid};
use super::super::template::{ParameterConfig, TemplateConfig, complete, parameters_of};

#[test]
fn names_are_kept_or_made() {
    let key = "0123456789abcdef01234567";
    for (wanted, first, second) in [
        (Some("dev"), "dev", "dev-4567"),
        (Some("My-Space2"), "My-Space2", "my-space2-4567"),
        (Some("My Fancy!! Näme"), "my-fancy-n-me-0123", "my-fancy-n-me-4567"),
        (Some("-x--y-"), "x-y-0123", "x-y-4567"),
        (
            Some("abcdefghijklmnopqrstuvwxyz-abcdefg"),
            "abcdefghijklmnopqrstuvwxyz-0123",
            "abcdefghijklmnopqrstuvwxyz-4567",
        ),
        (Some("漢字"), "workspace-0123", "workspace-4567"),
        (Some(""), "workspace-0123", "workspace-4567"),
        (None, "rust-template-0123", "rust-template-4567"),
    ] {
        let names = candidates(wanted, "Rust Template", key);
        assert_eq!(names, [first, second], "{wanted:?}");
        assert!(names.iter().all(|name| is_valid(name)), "{names:?}");
    }
}

fn parameters(text: &str) -> Vec<super::super::template::Parameter> {
    let configured: std::collections::BTreeMap<String, ParameterConfig> = toml::from_str(text).unwrap();
    parameters_of(&configured).unwrap()
}

#[test]
fn parameters_are_completed_and_checked() {
    let known = parameters(
        "[language]\ndefault = \"rust\"\noptions = [\"rust\", \"go\"]\n[cpus]\ntype = \"number\"\n[deep]\ntype = \"bool\"\n\
         default = false\n[packages]\ntype = \"list\"\ndefault = []\n",
    );
    let check = |given: Value| complete(&known, given.as_object().unwrap_or(&Map::new()));
    let all = check(json!({"cpus": 2, "packages": ["git"]})).unwrap();
    assert_eq!(json!(all), json!({"language": "rust", "cpus": 2, "deep": false, "packages": ["git"]}));
    for (given, words) in [
        (json!({}), "\"cpus\" must be given"),
        (json!({"cpus": "2"}), "\"cpus\" takes a number"),
        (json!({"cpus": 2, "deep": "yes"}), "\"deep\" takes true or false"),
        (json!({"cpus": 2, "language": "perl"}), "\"language\" takes one of [\"rust\",\"go\"]"),
        (json!({"cpus": 2, "packages": [1]}), "\"packages\" takes a list of texts"),
        (json!({"cpus": 2, "disk": 1}), "no parameter \"disk\"; it has: cpus, deep, language, packages"),
    ] {
        let refused = check(given.clone()).unwrap_err();
        assert!(refused.contains(words), "{given}: {refused}");
    }
}

#[test]
fn templates_in_the_settings_are_checked() {
    for (text, key) in [
        ("provisioner = \"local\"", Some("path")),
        ("provisioner = \"local\"\npath = \"x\"\ntemplate = \"y\"", Some("template")),
        ("provisioner = \"coder\"\npath = \"x\"", Some("path")),
        ("provisioner = \"coder\"\n[parameters.a]\ndefault = \"x\"", Some("parameters")),
        ("provisioner = \"local\"\npath = \"x\"\n[parameters.a]\ntype = \"bool\"\ndefault = \"x\"", Some("parameters")),
        (
            "provisioner = \"local\"\npath = \"x\"\n[parameters.a]\noptions = [\"x\"]\ndefault = \"y\"",
            Some("parameters"),
        ),
        ("provisioner = \"local\"\npath = \"x\"\n[parameters.a]\ntype = \"number\"\ndefault = 3", None),
        ("provisioner = \"coder\"\ntemplate = \"y\"", None),
    ] {
        let template: TemplateConfig = toml::from_str(text).unwrap();
        assert_eq!(template.check().err().map(|(key, _)| key), key, "{text}");
    }
}
