//! Names and words of templates.

use super::*;

#[test]
fn names_are_bounded() {
    let long = "n".repeat(TEMPLATE_NAME_MAX_BYTES);
    for (name, right) in [
        ("blank", true),
        ("Web_1.2-x", true),
        (".hidden", true),
        (long.as_str(), true),
        (&format!("{long}n"), false),
        ("", false),
        (".", false),
        ("..", false),
        ("a b", false),
        ("a/b", false),
        ("größe", false),
    ] {
        assert_eq!(check_template_name(name).is_ok(), right, "{name:?}");
    }
}

#[test]
fn kinds_are_named_as_they_are_stored_and_begin_their_workspaces_ids() {
    for kind in ProvisionerKind::ALL {
        assert_eq!(json!(kind), json!(kind.name()));
        assert_eq!(ProvisionerKind::of_workspace(&format!("{}-1", kind.name())), Some(kind));
    }
    for nobodys in ["", "local", "docker-1", "-1"] {
        assert_eq!(ProvisionerKind::of_workspace(nobodys), None, "{nobodys:?}");
    }
}

#[test]
fn a_relative_path_is_a_file_s_alone() {
    let template = TemplateConfig { path: Some("templates/a".into()), ..TemplateConfig::of(ProvisionerKind::Local) };
    assert_eq!(template.check(), Ok(()));
    assert_eq!(template.check_place().map_err(|(field, _)| field), Err("path"));
}

#[test]
fn a_parameter_s_name_is_bounded() {
    for (name, right) in [("cpus", true), (" ", false), ("", false), (&"n".repeat(257), false)] {
        let parameters: BTreeMap<_, _> = [(name.to_owned(), ParameterConfig::default())].into();
        assert_eq!(parameters_of(&parameters).is_ok(), right, "{name:?}");
    }
}
