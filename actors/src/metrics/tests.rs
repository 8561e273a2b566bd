use serde_json::json;

use super::{StateName, json_bytes, tool_label};

#[test]
fn states_are_declared_in_the_order_of_their_list() {
    for (index, state) in StateName::ALL.into_iter().enumerate() {
        assert_eq!(state as usize, index, "{state:?} is counted in another state's place");
    }
}

#[test]
fn foreign_tools_share_one_label() {
    assert_eq!(tool_label("execute"), "execute");
    assert_eq!(tool_label("files__read"), "mcp");
}

#[test]
fn a_results_size_is_that_of_its_json() {
    for value in [json!(null), json!("ä\n"), json!({"a": [1, 2.5, true], "b": {}})] {
        assert_eq!(json_bytes(&value), value.to_string().len() as u64, "{value}");
    }
}
