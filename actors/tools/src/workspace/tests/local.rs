use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::MadeWorkspace;
use super::super::local::LocalProvisioner;
use super::super::port::{ProvisionerKind, WorkspaceStatus};
use super::super::template::TemplateConfig;
use super::chats::{CHAT, Crash};
use super::{Hasty, House, bad, context, contract, good, kept, survey};

struct LocalHouse {
    house: House,
    home: tempfile::TempDir,
}

fn local() -> LocalHouse {
    let home = tempfile::tempdir().unwrap();
    let (good, broken) = (home.path().join("good"), home.path().join("broken"));
    for path in [&good, &broken] {
        std::fs::create_dir_all(path.join("src")).unwrap();
    }
    let described =
        "description = \"A good one\"\n[parameters.language]\ndefault = \"rust\"\ndescription = \"Which\"\n";
    std::fs::write(good.join("template.toml"), described).unwrap();
    std::fs::write(good.join("hello.txt.template"), "{{ language }} {{unknown}} {{").unwrap();
    std::fs::write(good.join("src/run.sh"), "echo {{language}}").unwrap();
    std::fs::set_permissions(good.join("src/run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("src/run.sh", good.join("run")).unwrap();
    std::fs::write(broken.join("x.template"), b"\xff\xfe").unwrap();
    let template = |path: &Path, description: Option<&str>| TemplateConfig {
        provisioner: ProvisionerKind::Local,
        path: Some(path.to_owned()),
        template: None,
        description: description.map(str::to_owned),
        parameters: BTreeMap::new(),
    };
    let templates = BTreeMap::from([
        ("good".to_owned(), template(&good, None)),
        ("broken".to_owned(), template(&broken, Some("One that cannot be made"))),
    ]);
    let provisioner = Arc::new(LocalProvisioner::open(home.path().join("workspaces")).unwrap());
    let house = House::new(ProvisionerKind::Local, provisioner, templates, Arc::new(Hasty::default()));
    LocalHouse { house, home }
}

/// A house whose workspaces are directories, and what it stands in.
async fn kept() -> (House, tempfile::TempDir) {
    let LocalHouse { house, home } = local();
    (house, home)
}

kept!(kept);

fn offered(house: &House) -> Vec<String> {
    house.tools.definitions(&house.chats.chat()).iter().map(|tool| tool.name.clone()).collect()
}

#[tokio::test]
async fn templates_come_and_go_and_a_chat_keeps_what_it_has() {
    let LocalHouse { house, home } = local();
    house.spaces.set_templates(BTreeMap::new());
    assert_eq!(offered(&house), [] as [String; 0]);
    assert_eq!(house.tools.effect_class(&house.chats.chat(), "create_workspace"), None);
    let path = Some(home.path().join("good"));
    let template = TemplateConfig { path, ..TemplateConfig::of(ProvisionerKind::Local) };
    house.spaces.set_templates([("late".to_owned(), template)].into());
    assert!(offered(&house).contains(&"create_workspace".to_owned()));
    assert_eq!(good(house.call("call-1", "list_templates", json!({})).await)["total"], json!(1));
    good(house.call("call-2", "create_workspace", json!({"template_id": "late"})).await);
    house.spaces.set_templates(BTreeMap::new());
    assert!(offered(&house).contains(&"read_file".to_owned()), "its workspace is still there");
    good(house.call("call-3", "read_file", json!({"path": "hello.txt"})).await);
    let again = good(house.call("call-4", "create_workspace", json!({"template_id": "late"})).await);
    assert_eq!(again["created"], json!(false));
    let refused = bad(house.call("call-5", "read_template", json!({"template_id": "late"})).await);
    assert!(refused.to_string().contains("there is no template"), "{refused}");
}

#[tokio::test]
async fn a_chat_is_forgotten_when_the_template_of_what_it_was_promised_is_gone() {
    let LocalHouse { house, home: _home } = local();
    house.spaces.set_templates(BTreeMap::new());
    let promised = MadeWorkspace { id: None, template_id: "good".to_owned(), name: "promised".to_owned() };
    house.spaces.forget_chat(CHAT, &[promised]).await.expect("nothing is left of it");
}

#[tokio::test]
async fn a_crash_makes_no_second_workspace() {
    for recorded in [false, true] {
        let LocalHouse { house, home: _home } = local();
        contract::a_crash_makes_no_second_workspace(&house, Crash { change: 1, recorded }).await;
    }
}

#[tokio::test]
async fn what_is_left_out_of_prompts_is_said() {
    let LocalHouse { house, home } = local();
    let root = |made: &Value| home.path().join("workspaces").join(made["workspace_id"].as_str().unwrap()).join("files");
    context::what_is_left_out_is_said(&house, root).await;
}

#[tokio::test]
async fn a_workspace_is_its_template_with_the_parameters_filled_in() {
    let LocalHouse { house, home } = local();
    let args = json!({"template_id": "good", "parameters": {"language": "{{language}} ok"}});
    let made = good(house.call("call-1", "create_workspace", args).await);
    let root = home.path().join("workspaces").join(made["workspace_id"].as_str().unwrap()).join("files");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(read("hello.txt"), "{{language}} ok {{unknown}} {{", "a value is not looked through again");
    assert_eq!(read("src/run.sh"), "echo {{language}}", "only files that say so are filled in");
    assert_eq!(std::fs::metadata(root.join("src/run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_link(root.join("run")).unwrap(), Path::new("src/run.sh"));
    let mut names: Vec<_> = std::fs::read_dir(&root).unwrap().flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["hello.txt", "run", "src"], "the description is not copied");
}

#[tokio::test]
async fn a_build_that_a_crash_cut_short_begins_anew() {
    let LocalHouse { house, home } = local();
    house.chats.crash(Crash { change: 1, recorded: true });
    tokio::select! {
        _ = house.create("call-1") => panic!("it was to crash"),
        () = house.chats.crashed() => {}
    }
    let id = house.bound().unwrap();
    assert_eq!(house.spaces.look(&id).await.unwrap().status, WorkspaceStatus::Building);
    let half = home.path().join("workspaces").join(&id).join("making");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("half"), "x").unwrap();
    // Another call finds it being built, and builds it.
    let found = good(house.create("call-2").await);
    assert_eq!((&found["created"], &found["status"]), (&json!(false), &json!("running")));
    assert!(!half.exists() && !home.path().join("workspaces").join(&id).join("files/half").exists());
}

#[tokio::test]
async fn a_workspace_whose_directory_is_gone_is_replaced() {
    let LocalHouse { house, home } = local();
    let first = good(house.create("call-1").await)["workspace_id"].as_str().unwrap().to_owned();
    std::fs::remove_dir_all(home.path().join("workspaces").join(&first).join("files")).unwrap();
    let view = house.spaces.look(&first).await.unwrap();
    assert_eq!((view.status, view.detail.as_deref()), (WorkspaceStatus::Unreachable, Some("its directory is gone")));
    survey::know(&house);
    assert_eq!(survey::looked_at(&house).await, None, "what was known of its files goes");
    assert_eq!(good(house.create("call-2").await)["replaced"], Value::String(first));
}

#[tokio::test]
async fn what_is_taken_away_is_gone_with_all_that_is_in_it() {
    let LocalHouse { house, home } = local();
    let id = good(house.create("call-1").await)["workspace_id"].as_str().unwrap().to_owned();
    good(house.call("call-2", "write_file", json!({"path": "deep/er/x", "content": "x"})).await);
    let root = home.path().join("workspaces");
    // What a crash in the middle of it leaves.
    std::fs::create_dir_all(root.join("gone-local-00000000/files")).unwrap();
    house.spaces.delete(&id).await.unwrap();
    drop(LocalProvisioner::open(root.clone()).unwrap());
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    for id in ["local-../../x", "local-", "local-zz", "other-1234", "x", &format!("local-{}", "0".repeat(65))] {
        let view = house.spaces.look(id).await.map(|view| view.status);
        assert!(matches!(view, Ok(WorkspaceStatus::Deleted) | Err(_)), "{id}: {view:?}");
    }
    let refused = bad(house.call("call-3", "read_file", json!({"path": "deep/er/x"})).await);
    assert!(refused.as_str().is_some_and(|told| told.contains("there is no workspace")), "{refused}");
}
