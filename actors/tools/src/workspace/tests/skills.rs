//! Skills, on whatever files a workspace has.

use serde_json::json;
use verbatim_events::event::EffectClass;

use super::{House, bad, good};

const MAIN: &str = "---\nname: make-tea\ndescription: How tea is made\n---\nBoil water.\n";

async fn write(house: &House, path: &str, content: &str) {
    let args = json!({"path": path, "content": content});
    good(house.call(&format!("write-{path}"), "write_file", args).await);
}

fn offered(house: &House) -> usize {
    let tools = house.tools.definitions(&house.chats.chat());
    tools.iter().filter(|tool| tool.name.starts_with("read_skill")).count()
}

/// A skill is read with what lies beside it, and each of its files.
pub(super) async fn skills_are_read(house: &House) {
    assert_eq!(offered(house), 0, "there is no workspace to have skills");
    good(house.create("call-1").await);
    assert_eq!(offered(house), 2);
    assert_eq!(house.tools.effect_class(&house.chats.chat(), "read_skill"), Some(EffectClass::Idempotent));
    let none = bad(house.call("call-2", "read_skill", json!({"name": "make-tea"})).await);
    assert_eq!(none, json!("there is no skill named \"make-tea\", and no other in this workspace"));

    write(house, ".agents/skills/make-tea/SKILL.md", MAIN).await;
    write(house, ".agents/skills/make-tea/.secret", "hidden").await;
    write(house, ".agents/skills/make-tea/kinds/green.md", "80 °C").await;
    let read = good(house.call("call-3", "read_skill", json!({"name": "make-tea"})).await);
    assert_eq!(read, json!({"name": "make-tea", "content": MAIN, "files": ["kinds/"], "more": false}));
    let file = json!({"name": "make-tea", "path": "kinds/green.md"});
    let read = good(house.call("call-4", "read_skill_file", file.clone()).await);
    assert_eq!(read, json!({"name": "make-tea", "path": "kinds/green.md", "content": "80 °C"}));
    let other = bad(house.call("call-5", "read_skill", json!({"name": "make-coffee"})).await);
    assert_eq!(other, json!("there is no skill named \"make-coffee\"; there are: make-tea"));
}

/// What is no skill's name or no file of one is refused, and what is too large.
pub(super) async fn skills_are_bounded(house: &House) {
    good(house.create("call-1").await);
    write(house, ".agents/skills/tea/SKILL.md", "---\nname: \"coffee\"\n---\n").await;
    write(house, ".agents/skills/tea/large.txt", &"x".repeat(512 * 1024 + 1)).await;
    write(house, ".agents/skills/tea/right.txt", &"x".repeat(512 * 1024)).await;
    write(house, ".agents/skills/long/SKILL.md", &"x".repeat(64 * 1024 + 1)).await;
    for name in ["", "Tea", "tea-", "-tea", "a--b", "../tea", "a/b", "a b", ".", "tée"] {
        let refused = bad(house.call("call-2", "read_skill", json!({"name": name})).await);
        assert!(refused.as_str().is_some_and(|told| told.contains("can be no skill's name")), "{refused}");
    }
    for path in ["", "/etc/passwd", "../tea/SKILL.md", "a//b", ".secret", "kinds/.secret", "a/../SKILL.md", "a/"] {
        let refused = bad(house.call("call-3", "read_skill_file", json!({"name": "tea", "path": path})).await);
        assert!(refused.as_str().is_some_and(|told| told.contains("without \"..\" and hidden names")), "{refused}");
    }
    let other = bad(house.call("call-4", "read_skill", json!({"name": "tea"})).await);
    assert!(other.as_str().is_some_and(|told| told.contains("calls itself \"coffee\"")), "{other}");
    let long = bad(house.call("call-5", "read_skill", json!({"name": "long"})).await);
    assert!(long.as_str().is_some_and(|told| told.contains("65537 bytes are too many")), "{long}");
    let large = bad(house.call("call-6", "read_skill_file", json!({"name": "tea", "path": "large.txt"})).await);
    assert!(large.as_str().is_some_and(|told| told.contains("524289 bytes are too many")), "{large}");
    good(house.call("call-7", "read_skill_file", json!({"name": "tea", "path": "right.txt"})).await);
}
