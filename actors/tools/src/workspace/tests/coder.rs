use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::super::coder::{CoderProvisioner, CoderTimeouts};
use super::super::pause::Pause;
use super::super::port::{ProvisionerKind, WorkspaceStatus};
use super::super::settings::CoderConfig;
use super::super::template::TemplateConfig;
use super::chats::Crash;
use super::stand_in::{AgentMood, StandIn, TOKEN};
use super::{Hasty, House, bad, context, contract, good, kept, survey};

struct CoderHouse {
    house: House,
    coder: StandIn,
    pause: Arc<Hasty>,
    home: tempfile::TempDir,
}

async fn coder_of(token: &str) -> CoderHouse {
    let home = tempfile::tempdir().unwrap();
    let coder = StandIn::start(home.path()).await;
    let program = coder.program(home.path());
    let config = CoderConfig { url: coder.url.clone(), token_env: "TOKEN".to_owned(), program };
    let pause = Arc::new(Hasty::default());
    let timeouts = CoderTimeouts { request_ms: 10_000, agent_try_ms: 10_000 };
    let provisioner = CoderProvisioner::new(&config, token, Arc::clone(&pause) as Arc<dyn Pause>, timeouts).unwrap();
    let template = |name: Option<&str>, description: Option<&str>| TemplateConfig {
        provisioner: ProvisionerKind::Coder,
        path: None,
        template: name.map(str::to_owned),
        description: description.map(str::to_owned),
        parameters: BTreeMap::new(),
    };
    let templates = BTreeMap::from([
        ("good".to_owned(), template(None, None)),
        ("broken".to_owned(), template(Some("docker-broken"), Some("One that cannot be made"))),
    ]);
    let house = House::new(ProvisionerKind::Coder, Arc::new(provisioner), templates, Arc::clone(&pause));
    CoderHouse { house, coder, pause, home }
}

async fn coder() -> CoderHouse {
    coder_of(TOKEN).await
}

/// A house whose workspaces a deployment makes, and what it stands in.
async fn kept() -> (House, (StandIn, tempfile::TempDir)) {
    let CoderHouse { house, coder, home, .. } = coder().await;
    (house, (coder, home))
}

kept!(kept);

#[tokio::test]
async fn a_crash_makes_no_second_workspace() {
    for change in [1, 2] {
        for recorded in [false, true] {
            let CoderHouse { house, home: _home, .. } = coder().await;
            contract::a_crash_makes_no_second_workspace(&house, Crash { change, recorded }).await;
        }
    }
}

#[tokio::test]
async fn what_is_left_out_of_prompts_is_said() {
    let CoderHouse { house, home, .. } = coder().await;
    let root =
        |made: &serde_json::Value| home.path().join("homes").join(made["name"].as_str().unwrap()).join("project");
    context::what_is_left_out_is_said(&house, root).await;
}

#[tokio::test]
async fn a_name_that_is_taken_gets_a_suffix_once() {
    let CoderHouse { house, coder, home: _home, .. } = coder().await;
    coder.take("dev");
    let args = json!({"template_id": "good", "name": "dev", "parameters": {"cpus": 4}});
    let made = good(house.call("call-1", "create_workspace", args.clone()).await);
    let name = made["name"].as_str().unwrap();
    assert!(name.starts_with("dev-") && name.len() == 8, "{name}");
    let values = json!([{"name": "cpus", "value": "4"}, {"name": "language", "value": "rust"}]);
    assert_eq!(coder.bodies().last().unwrap()["rich_parameter_values"], values);

    let CoderHouse { house, coder, home: _home, .. } = self::coder().await;
    coder.take("dev");
    coder.take(name);
    let refused = bad(house.call("call-1", "create_workspace", args).await);
    assert_eq!(refused, json!(format!("the names dev and {name} are taken; give another")));
}

#[tokio::test]
async fn a_wish_whose_answer_was_lost_is_granted_once() {
    for done in [false, true] {
        let CoderHouse { house, coder, home: _home, .. } = coder().await;
        coder.set(|moods| moods.failures = vec![("POST", done), ("GET", false)]);
        let made = good(house.create("call-1").await);
        assert_eq!((&made["created"], &made["status"]), (&json!(true), &json!("running")));
        assert_eq!(coder.names().len(), 1, "{done}");
    }
}

#[tokio::test]
async fn a_build_that_hangs_is_waited_for_no_longer_than_ten_minutes() {
    let CoderHouse { house, coder, pause, home: _home } = coder().await;
    coder.set(|moods| moods.hang = true);
    let answer = good(house.create("call-1").await);
    assert_eq!((&answer["created"], &answer["status"]), (&json!(true), &json!("building")));
    assert!(answer["hint"].as_str().is_some_and(|hint| hint.contains("start_workspace")), "{answer}");
    assert_eq!(house.bound().as_deref(), answer["workspace_id"].as_str(), "recorded all the same");
    assert_eq!((pause.elapsed_ms(), coder.asked("GET workspaces/")), (600_000, 301), "every two seconds");
    coder.set(|moods| moods.hang = false);
    assert_eq!(good(house.create("call-2").await)["created"], json!(false));
}

#[tokio::test]
async fn a_workspace_that_vanishes_while_it_is_built_is_said_to_be_gone() {
    let CoderHouse { house, coder, home: _home, .. } = coder().await;
    coder.set(|moods| moods.vanish = true);
    let answer = bad(house.create("call-1").await);
    assert_eq!((&answer["status"], &answer["created"]), (&json!("deleted"), &json!(true)));
    coder.set(|moods| moods.vanish = false);
    assert_eq!(good(house.create("call-2").await)["replaced"], answer["workspace_id"]);
}

#[tokio::test]
async fn a_deployment_that_stumbles_is_asked_again_and_one_that_is_down_is_given_up() {
    let CoderHouse { house, coder, home: _home, .. } = coder().await;
    good(house.create("call-1").await);
    coder.set(|moods| moods.failures = vec![("GET", false); 14]);
    assert_eq!(good(house.create("call-2").await)["created"], json!(false));
    coder.set(|moods| moods.down = true);
    let before = coder.asked("GET workspaces/");
    let refused = bad(house.create("call-3").await);
    assert_eq!(refused, json!("the workspace platform says: status 502"));
    assert_eq!(coder.asked("GET workspaces/") - before, 15);
    coder.set(|moods| moods.down = false);
    assert_eq!(coder.names().len(), 1, "what cannot be asked for is not replaced");
}

#[tokio::test]
async fn an_agent_that_is_not_ready_is_no_error() {
    for (mood, told) in [(AgentMood::Slow(20), "ready"), (AgentMood::Never, "not_ready"), (AgentMood::None, "no_agent")]
    {
        let CoderHouse { house, coder, pause, home: _home } = coder().await;
        coder.set(|moods| moods.agent = mood);
        let answer = good(house.create("call-1").await);
        let expected = (&json!(true), &json!("running"), &json!(told));
        assert_eq!((&answer["created"], &answer["status"], &answer["agent_status"]), expected);
        if mood == AgentMood::Never {
            let built_ms = 2 * 2_000;
            assert_eq!(pause.elapsed_ms(), built_ms + 120_000, "two minutes");
        }
    }
}

#[tokio::test]
async fn a_workspace_whose_agent_is_gone_is_replaced() {
    let CoderHouse { house, coder, home: _home, .. } = coder().await;
    let first = good(house.create("call-1").await);
    coder.set(|moods| moods.agent = AgentMood::Lost);
    let started = bad(house.call("call-2", "start_workspace", json!({})).await);
    assert_eq!(started["status"], json!("unreachable"));
    let second = house.create("call-3").await.result;
    assert_eq!((&second["created"], &second["replaced"]), (&json!(true), &first["workspace_id"]));
    assert_eq!(coder.names().len(), 2, "what is in the first may still be wanted");
}

#[tokio::test]
async fn what_cannot_be_reached_now_is_not_forgotten_and_what_never_can_is() {
    let CoderHouse { house, coder, home: _home, .. } = coder().await;
    good(house.create("call-1").await);
    survey::know(&house);
    coder.set(|moods| moods.agent = AgentMood::Lost);
    assert!(survey::looked_at(&house).await.is_some(), "its agent may come back");
    coder.set(|moods| moods.down = true);
    assert!(survey::looked_at(&house).await.is_some(), "nobody can be asked");
    coder.set(|moods| (moods.down, moods.agent) = (false, AgentMood::None));
    assert_eq!(survey::looked_at(&house).await, None, "without an agent nothing in it can be looked at");
}

#[tokio::test]
async fn neither_address_nor_token_is_told() {
    let CoderHouse { house, coder, home: _home, .. } = coder_of("another").await;
    let refused = bad(house.create("call-1").await);
    assert_eq!(refused, json!("the workspace platform refuses the server's token"));
    let CoderHouse { house, coder: other, home, .. } = self::coder().await;
    let id = good(house.create("call-1").await)["workspace_id"].as_str().unwrap().to_owned();
    std::fs::write(home.path().join("coder"), format!("#!/bin/sh\necho signed out >&2\necho {} >&2\n", other.url))
        .unwrap();
    let unreachable = bad(house.call("call-2", "read_file", json!({"path": "."})).await);
    assert_eq!(unreachable, json!("the workspace cannot be reached: signed out"));
    assert_eq!(house.spaces.look(&id).await.unwrap().status, WorkspaceStatus::Running);
    assert!(!coder.url.is_empty());
    for id in ["coder-x", "coder-", "coder-../../users/me"] {
        assert_eq!(house.spaces.look(id).await.unwrap().status, WorkspaceStatus::Deleted);
    }
}

#[tokio::test]
async fn a_change_that_a_crash_cut_short_is_carried_out_in_the_workspace() {
    let CoderHouse { house, home, .. } = coder().await;
    let made = good(house.create("call-1").await);
    let project = home.path().join("homes").join(made["name"].as_str().unwrap()).join("project");
    good(house.call("call-2", "write_file", json!({"path": "a", "content": "old"})).await);
    let key = super::super::workspaces::key_of(&house.call_key("call-3"));
    let folder = project.parent().unwrap().join(".verbatim/changes").join(&key);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, content) in [
        ("0.new", "new".to_owned()),
        ("0.path", project.join("deep/b").display().to_string()),
        ("answer", "eyJmaWxlcyI6W119\n".to_owned()),
        ("commit", String::new()),
    ] {
        std::fs::write(folder.join(name), content).unwrap();
    }
    let edits = json!({"edits": [{"path": "a", "old_text": "old", "new_text": "new"}]});
    assert_eq!(good(house.again("call-3", "edit_files", edits).await), json!({"files": []}));
    assert_eq!(std::fs::read_to_string(project.join("deep/b")).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(project.join("a")).unwrap(), "old");
}
