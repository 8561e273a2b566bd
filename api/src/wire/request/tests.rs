use serde_json::{Value, json};
use verbatim_events::limits::{CLIENT_TOOLS_MAX, LABELS_MAX, SYSTEM_PROMPT_MAX_BYTES, TITLE_MAX_CHARACTERS};

use super::*;
use crate::error::Code;

fn bytes(value: Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn create(value: Value) -> Result<CreateChatRequest, Problem> {
    CreateChatRequest::read(&bytes(value))
}

fn send(value: Value) -> Result<SendMessageRequest, Problem> {
    SendMessageRequest::read(&bytes(value))
}

/// The pointers of what is wrong.
fn pointers<T: std::fmt::Debug>(read: Result<T, Problem>) -> Vec<String> {
    let problem = read.expect_err("the request is wrong");
    assert_eq!(problem.code, Code::InvalidRequest, "{problem}");
    problem.errors.into_iter().map(|error| error.pointer).collect()
}

#[test]
fn a_chat_needs_nothing() {
    assert_eq!(CreateChatRequest::read(b"").unwrap(), CreateChatRequest::default());
    assert_eq!(create(json!({})).unwrap(), CreateChatRequest::default());
    let nothing = json!({
        "content": null, "parent": null, "workspace": null, "mcp_servers": [], "plan_mode": false,
        "server_tools": ["*"],
    });
    assert_eq!(create(nothing).unwrap(), CreateChatRequest::default());
}

#[test]
fn a_chat_takes_all_it_is_given() {
    let wanted = create(json!({
        "content": [{"type": "text", "text": " hello "}],
        "model": "demo",
        "effort": "high",
        "title": "Engines",
        "system_prompt": "be brief",
        "labels": {"team/name": "engines"},
        "tools": [{"name": "look", "description": "looks", "parameters": {"type": "object"}}],
        "server_tools": ["read_file"],
        "mcp_servers": ["files", "web", "files"],
        "plan_mode": true,
        "tool_policy": {"look": "ask", "*": "deny"},
        "parent": "01890000-0000-7000-8000-000000000001",
        "workspace": {"id": "local-1"},
    }))
    .unwrap();
    assert_eq!(
        wanted,
        CreateChatRequest {
            content: vec![Part::text(" hello ")],
            model: Some("demo".into()),
            effort: Some("high".into()),
            title: Some("Engines".into()),
            system_prompt: Some("be brief".into()),
            labels: [("team/name".to_owned(), "engines".to_owned())].into(),
            tools: vec![
                ToolDefinition {
                    name: "look".into(),
                    description: "looks".into(),
                    parameters: json!({"type": "object"}),
                }
                .into()
            ],
            server_tools: Some(vec!["read_file".to_owned()]),
            mcp_servers: vec!["files".to_owned(), "web".to_owned()],
            plan_mode: true,
            tool_policy: [("look".to_owned(), ToolPolicy::Ask), ("*".to_owned(), ToolPolicy::Deny)].into(),
            parent: Some("01890000-0000-7000-8000-000000000001".parse().unwrap()),
            workspace: Some(WorkspaceRequest::Existing { id: "local-1".into() }),
        }
    );
}

#[test]
fn a_parent_is_a_chats_id() {
    assert_eq!(pointers(create(json!({"parent": "nobody"}))), ["/parent"]);
}

#[test]
fn bounds_are_checked_where_they_enter() {
    assert_eq!(pointers(create(json!({"server_tools": ["", 1]}))), ["/server_tools/0", "/server_tools/1"]);
    assert_eq!(pointers(create(json!({"mcp_servers": vec!["a"; 33]}))), ["/mcp_servers"]);
    let many = |count: usize| -> Value {
        (0..count).map(|index| (format!("k{index}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    let tool = |index: usize| json!({"name": format!("t{index}"), "description": "", "parameters": {}});
    let fits = json!({
        "title": "ä".repeat(TITLE_MAX_CHARACTERS),
        "system_prompt": "x".repeat(SYSTEM_PROMPT_MAX_BYTES),
        "labels": many(LABELS_MAX),
        "tools": (0..CLIENT_TOOLS_MAX).map(tool).collect::<Vec<_>>(),
    });
    assert!(create(fits).is_ok());
    assert_eq!(pointers(create(json!({"title": "ä".repeat(TITLE_MAX_CHARACTERS + 1)}))), ["/title"]);
    assert_eq!(pointers(create(json!({"title": " "}))), ["/title"]);
    for title in ["a\nb", "a\u{1b}[31m", "\u{202e}evil", "a\u{2028}b", "\u{2066}a\u{2069}"] {
        assert_eq!(pointers(create(json!({ "title": title }))), ["/title"], "{title:?}");
    }
    assert!(create(json!({"title": "שלום 👩\u{200d}🔬"})).is_ok(), "letters of all scripts are no trouble");
    assert_eq!(pointers(create(json!({"system_prompt": "x".repeat(SYSTEM_PROMPT_MAX_BYTES + 1)}))), ["/system_prompt"]);
    assert_eq!(pointers(create(json!({"labels": many(LABELS_MAX + 1)}))), ["/labels"]);
    let tools: Vec<_> = (0..=CLIENT_TOOLS_MAX).map(tool).collect();
    assert_eq!(pointers(create(json!({"tools": tools}))), ["/tools"]);
    assert_eq!(pointers(create(json!({"model": ""}))), ["/model"]);
}

#[test]
fn a_labels_key_begins_with_a_letter_or_digit() {
    let (longest, too_long) = ("k".repeat(64), "k".repeat(65));
    for key in ["a", "A/b.c_d-e", "9", longest.as_str()] {
        assert!(create(json!({"labels": {key: ""}})).is_ok(), "{key:?} is a key");
    }
    for key in ["", "-a", "a b", "ä", too_long.as_str()] {
        assert_eq!(pointers(create(json!({"labels": {key: ""}}))), [format!("/labels/{key}")], "{key:?} is no key");
    }
    assert_eq!(pointers(create(json!({"labels": {"k": "v".repeat(257)}}))), ["/labels/k"]);
    assert_eq!(pointers(create(json!({"labels": {"k": 1}}))), ["/labels/k"]);
}

#[test]
fn tools_have_unique_names_and_take_objects() {
    let tool = |name: &str, parameters: Value| json!({"name": name, "description": "d", "parameters": parameters});
    let wrong = create(json!({"tools": [
        tool("same", json!({})),
        tool("same", json!({})),
        tool("has space", json!({})),
        tool("text", json!("text")),
        tool("list", json!({"type": "array"})),
        {"name": "bare"},
    ]}));
    assert_eq!(
        pointers(wrong),
        [
            "/tools/1/name",
            "/tools/2/name",
            "/tools/3/parameters",
            "/tools/4/parameters/type",
            "/tools/5/description",
            "/tools/5/parameters",
        ]
    );
}

#[test]
fn a_policy_is_auto_ask_or_deny() {
    assert_eq!(pointers(create(json!({"tool_policy": {"a/b": "perhaps"}}))), ["/tool_policy/a~1b"]);
}

#[test]
fn content_is_a_string_or_text_parts_kept_word_for_word() {
    let expected = vec![Part::text(" a\nb ")];
    assert_eq!(send(json!({"content": " a\nb "})).unwrap().content, expected);
    assert_eq!(send(json!({"content": [{"type": "text", "text": " a\nb "}]})).unwrap().content, expected);
}

#[test]
fn empty_content_has_a_code_of_its_own() {
    for content in [json!(""), json!(" \n"), json!([]), json!([{"type": "text", "text": ""}])] {
        for read in [
            send(json!({"content": content})).map(drop),
            create(json!({"content": content})).map(drop),
            EditMessageRequest::read(&bytes(json!({"content": content}))).map(drop),
        ] {
            assert_eq!(read.expect_err("nothing is said").code, Code::EmptyContent);
        }
    }
    // What else is wrong is said first: the whole request has to change anyway.
    assert_eq!(pointers(send(json!({"content": "", "bussy": "queue"}))), ["/bussy"]);
}

#[test]
fn content_of_other_kinds_is_refused_by_place() {
    assert_eq!(pointers(send(json!({}))), ["/content"]);
    assert_eq!(pointers(send(json!({"content": 7}))), ["/content"]);
    assert_eq!(pointers(send(json!({"content": ["text"]}))), ["/content/0"]);
    let source = json!({"type": "source", "url": "u", "title": "t"});
    assert_eq!(pointers(send(json!({"content": [{"type": "text", "text": "a"}, source]}))), ["/content/1/type"]);
    assert_eq!(pointers(send(json!({"content": [{"type": "file", "name": "a"}]}))), ["/content/0/file_id"]);
    assert_eq!(pointers(send(json!({"content": [{"type": "file", "file_id": "f", "b": 1}]}))), ["/content/0/b"]);
    let file = Part::File { file_id: "f".into(), media_type: String::new(), name: String::new(), content: None };
    assert_eq!(send(json!({"content": [{"type": "file", "file_id": "f"}]})).unwrap().content, [file]);
    assert_eq!(pointers(send(json!({"content": [{"type": "text", "text": "a", "b": 1}]}))), ["/content/0/b"]);
    assert_eq!(pointers(send(json!({"content": [{"text": "a"}]}))), ["/content/0/type"]);
}

#[test]
fn a_busy_chat_queues_unless_told_otherwise() {
    assert_eq!(send(json!({"content": "a"})).unwrap().busy, Busy::Queue);
    for (word, busy) in
        [("queue", Busy::Queue), ("steer", Busy::Steer), ("interrupt", Busy::Interrupt), ("reject", Busy::Reject)]
    {
        assert_eq!(send(json!({"content": "a", "busy": word})).unwrap().busy, busy);
    }
    assert_eq!(pointers(send(json!({"content": "a", "busy": "wait"}))), ["/busy"]);
}

#[test]
fn a_patch_tells_leaving_out_from_emptying() {
    let patch = |value: Value| PatchChatRequest::read(&bytes(value));
    assert_eq!(patch(json!({})).unwrap(), PatchChatRequest::default());
    let all = json!({
        "title": "t", "labels": {}, "pinned": true, "model": "m", "effort": "low", "archived": false,
        "plan_mode": false,
    });
    assert_eq!(
        patch(all).unwrap(),
        PatchChatRequest {
            title: Some("t".into()),
            labels: Some(BTreeMap::new()),
            pinned: Some(true),
            model: Some("m".into()),
            effort: Some("low".into()),
            plan_mode: Some(false),
            archived: Some(false),
        }
    );
    assert_eq!(pointers(patch(json!({"title": null}))), ["/title"]);
    assert_eq!(pointers(patch(json!({"title": "a\nb"}))), ["/title"]);
    assert_eq!(pointers(patch(json!({"plan_mode": 1}))), ["/plan_mode"]);
    assert_eq!(pointers(patch(json!({"status": "waiting"}))), ["/status"]);
}

#[test]
fn a_missing_result_is_left_to_the_core_and_null_is_a_result() {
    let read = |value: Value| ToolResultsRequest::read(&bytes(value));
    let results = read(json!({"results": [
        {"call_id": "a", "result": {"x": 1}, "is_error": true},
        {"call_id": "b", "result": null},
        {"call_id": "c"},
    ]}))
    .unwrap()
    .results;
    assert_eq!(
        results,
        [
            SubmittedResult { call_id: "a".into(), result: Some(json!({"x": 1})), is_error: true },
            SubmittedResult { call_id: "b".into(), result: Some(Value::Null), is_error: false },
            SubmittedResult { call_id: "c".into(), result: None, is_error: false },
        ]
    );
    assert_eq!(read(json!({"results": []})).unwrap().results, [], "the core names the call that lacks one");
    assert_eq!(pointers(read(json!({}))), ["/results"]);
    assert_eq!(pointers(read(json!({"results": [{"result": 1}]}))), ["/results/0/call_id"]);
    assert_eq!(pointers(read(json!({"results": [{"call_id": "a", "output": 1}]}))), ["/results/0/output"]);
}

#[test]
fn a_decision_is_approve_or_deny() {
    let read = |value: Value| ApprovalsRequest::read(&bytes(value));
    let decisions = read(json!({"decisions": [
        {"call_id": "a", "decision": "approve"},
        {"call_id": "b", "decision": "deny", "reason": "no"},
    ]}))
    .unwrap()
    .decisions;
    assert_eq!(
        decisions,
        [
            ApprovalDecision { call_id: "a".into(), approved: true, reason: None },
            ApprovalDecision { call_id: "b".into(), approved: false, reason: Some("no".into()) },
        ]
    );
    assert_eq!(pointers(read(json!({"decisions": [{"call_id": "a"}]}))), ["/decisions/0/decision"]);
    assert_eq!(
        pointers(read(json!({"decisions": [{"call_id": "a", "decision": "maybe"}]}))),
        ["/decisions/0/decision"]
    );
}

#[test]
fn commands_without_words_take_none() {
    assert!(read_nothing(b"").is_ok() && read_nothing(b"{}").is_ok());
    assert_eq!(pointers(read_nothing(b"{\"now\": true}")), ["/now"]);
}

#[test]
fn a_workspace_is_one_that_there_is_or_one_to_be_made() {
    use WorkspaceRequest::{Existing, Template};
    let read = |workspace: Value| create(json!({"workspace": workspace})).map(|request| request.workspace);
    assert_eq!(read(json!({"id": "local-1"})).unwrap(), Some(Existing { id: "local-1".into() }));
    let bare = Template { template_id: "blank".into(), name: None, parameters: Default::default() };
    assert_eq!(read(json!({"template_id": "blank", "name": null})).unwrap(), Some(bare));
    let parameters = [("title".to_owned(), json!("T"))].into_iter().collect();
    let whole = Template { template_id: "blank".into(), name: Some("mine".into()), parameters };
    let asked = json!({"template_id": "blank", "name": "mine", "parameters": {"title": "T"}});
    assert_eq!(read(asked).unwrap(), Some(whole));
    for (wrong, pointer) in [
        (json!({}), "/workspace"),
        (json!({"id": "local-1", "template_id": "blank"}), "/workspace"),
        (json!({"id": "local-1", "name": "mine"}), "/workspace"),
        (json!({"template_id": "blank", "colour": "red"}), "/workspace/colour"),
        (json!({"template_id": "blank", "parameters": []}), "/workspace/parameters"),
        (json!("blank"), "/workspace"),
    ] {
        assert_eq!(pointers(create(json!({"workspace": wrong}))), [pointer]);
    }
}
