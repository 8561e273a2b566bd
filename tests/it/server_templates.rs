//! Templates that come and go while chats work: over HTTP, through the real server, kept over its end.

use std::path::PathBuf;

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;
use crate::workspaces::say;

/// A template's directory beside a server, with a file that says which it is.
fn template(server: &TestServer, name: &str) -> PathBuf {
    let path = server.home().canonicalize().expect("it is there").join(name);
    std::fs::create_dir_all(&path).expect("it can be made");
    std::fs::write(path.join("which.txt.template"), format!("{name} {{{{title}}}}")).expect("it can be written");
    path
}

async fn named(server: &TestServer) -> Vec<Value> {
    let listed = server.client().get("/templates").await.expect(200);
    listed.items().iter().map(|template| template["id"].clone()).collect()
}

/// What stands in a chat's workspace.
async fn which(chat: &ChatClient) -> String {
    let (failed, read) = say(chat, "read_file", json!({"path": "which.txt"})).await;
    assert!(!failed, "{read}");
    read["content"].as_str().expect("a text").trim_start_matches("1\t").to_owned()
}

#[tokio::test]
async fn the_first_template_brings_the_tools_and_its_end_leaves_what_was_made() {
    let mut server = TestServer::start(PROGRAM).await;
    let wish = json!({"template_id": "site", "parameters": {"title": "Proof"}});
    let early = ChatClient::create(server.client(), json!({})).await;
    let (failed, refused) = say(&early, "create_workspace", wish.clone()).await;
    assert!(failed && refused.to_string().contains("no tool"), "{refused}");

    let path = template(&server, "site");
    let parameters = json!({"title": {"description": "What it is called"}});
    let made = json!({"name": "site", "provisioner": "local", "path": path, "parameters": parameters});
    server.client().post("/templates", made).await.expect(201);
    let private = json!({"name": "own", "provisioner": "local", "path": server.data_dir().canonicalize().unwrap()});
    let refused = server.client().post("/templates", private).await.expect_problem(400, "invalid_request");
    assert_eq!(refused.body["errors"][0]["pointer"], "/path", "{}", refused.text);

    let (_, listed) = say(&early, "list_templates", json!({})).await;
    assert_eq!((&listed["total"], &listed["templates"][0]["template_id"]), (&json!(1), &json!("site")), "{listed}");
    let (failed, made) = say(&early, "create_workspace", wish.clone()).await;
    assert!(!failed && made["created"] == true, "a chat that was there before: {made}");
    assert_eq!(which(&early).await, "site Proof");
    let (failed, ran) = say(&early, "execute", json!({"command": "cat which.txt"})).await;
    assert_eq!((failed, &ran["output"]), (false, &json!("site Proof")), "{ran}");

    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let early = early.through(server.client());
    assert_eq!(named(&server).await, ["site"]);
    assert_eq!(which(&early).await, "site Proof");
    let second = ChatClient::create(server.client(), json!({"workspace": wish})).await;
    assert_eq!(which(&second).await, "site Proof");

    server.client().delete("/templates/site").await.expect(204);
    assert_eq!(named(&server).await, [] as [Value; 0]);
    for round in ["at once", "after a restart"] {
        let early = early.through(server.client());
        assert_eq!(which(&early).await, "site Proof", "{round}");
        let (failed, ran) = say(&early, "execute", json!({"command": "echo on"})).await;
        assert_eq!((failed, &ran["output"]), (false, &json!("on\n")), "{round}: {ran}");
        let (_, same) = say(&early, "create_workspace", wish.clone()).await;
        assert_eq!(same["created"], false, "{round}: {same}");
        let late = ChatClient::create(server.client(), json!({})).await;
        let (failed, refused) = say(&late, "create_workspace", wish.clone()).await;
        assert!(failed && refused.to_string().contains("no tool"), "{round}: {refused}");
        let refused = server.client().post("/chats", json!({"workspace": wish})).await;
        let refused = refused.expect_problem(400, "invalid_request");
        assert_eq!(refused.body["errors"][0]["pointer"], "/workspace/template_id");
        assert_eq!(server.client().get("/workspaces").await.expect(200).items().len(), 2, "{round}");
        server.kill().await.unwrap();
        server.start_again().await.unwrap();
    }
    let verified = server.run(&["audit", "verify"]).await.unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test]
async fn a_template_of_the_file_is_overridden_and_restored() {
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("which.txt"), "the file's").unwrap();
    let config = format!("[templates.site]\nprovisioner = \"local\"\npath = {:?}\n", files.path());
    let server = TestServer::start_with(PROGRAM, ServerOptions::with_config(&config)).await;
    let admin = server.client();
    admin.delete("/templates/site").await.expect_problem(409, "set_in_file");
    let over = template(&server, "over");
    let changed = json!({"path": over, "parameters": {"title": {"default": "ours"}}});
    let changed = admin.patch("/templates/site", changed).await.expect(200);
    assert_eq!((&changed.body["source"], &changed.body["overrides_file"]), (&json!("api"), &json!(true)));
    let wish = json!({"workspace": {"template_id": "site"}});
    let first = ChatClient::create(admin, wish.clone()).await;
    assert_eq!(which(&first).await, "over ours");
    admin.delete("/templates/site").await.expect(204);
    let restored = admin.get("/templates/site").await.expect(200);
    assert_eq!((&restored.body["source"], &restored.body["overrides_file"]), (&json!("file"), &json!(false)));
    let second = ChatClient::create(admin, wish).await;
    assert_eq!(which(&second).await, "the file's");
    assert_eq!(which(&first).await, "over ours", "what was made stays");
}
