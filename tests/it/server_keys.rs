//! Keys by the command line, with a server and without one.

use serde_json::{Value, json};
use support::server::TestServer;

use crate::PROGRAM;

async fn keys(server: &TestServer, arguments: &[&str]) -> Value {
    let arguments = [&["keys"], arguments, &["--json"]].concat();
    let output = server.run(&arguments).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn keys_are_made_and_revoked_beside_the_server_and_without_it() {
    let mut server = TestServer::start(PROGRAM).await;
    let made = keys(&server, &["create", "--name", "laptop", "--owner", "ada", "--roles", "user"]).await;
    let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let ada = server.client().with_key(Some(secret));
    assert_eq!(ada.post("/chats", json!({})).await.expect(201).body["owner"], "ada");
    keys(&server, &["revoke", id]).await;
    ada.get("/chats").await.expect_problem(401, "unauthorized");
    let unknown = server.run(&["keys", "revoke", "01890000-0000-7000-8000-000000000001"]).await.unwrap();
    assert!(!unknown.status.success(), "{unknown:?}");

    server.terminate().await.unwrap();
    let offline = keys(&server, &["create", "--name", "robot", "--owner", "bob", "--role", "auditor,user"]).await;
    let listed = keys(&server, &["list"]).await;
    let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|key| &key["name"]).collect();
    assert_eq!(names, ["laptop", "robot"]);
    assert!(listed["items"][0]["revoked_at"].is_string() && listed["items"][1].get("revoked_at").is_none());
    let wrong = server.run(&["keys", "create", "--name", "x", "--owner", "bob", "--role", "root"]).await.unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");

    server.start_again().await.unwrap();
    let bob = server.client().with_key(offline["key"].as_str());
    assert_eq!(bob.get("/chats").await.expect(200).items().len(), 1, "an auditor sees ada's chat");
    server.client().with_key(Some(secret)).get("/chats").await.expect_problem(401, "unauthorized");
}
