//! What a server lists, page by page. One tool that is not written as the protocol has it costs the server that tool alone.

use rmcp::RoleClient;
use rmcp::model::{ClientRequest, ListToolsRequest, PaginatedRequestParams, ServerResult, Tool};
use rmcp::service::{Peer, ServiceError};
use serde::Deserialize as _;
use serde_json::Value;

use super::words;

/// The most pages of a list of tools.
const PAGES_MAX: usize = 32;
/// The most tools that are looked at.
const LISTED_MAX: usize = 1_024;
/// How much of an unreadable tool's name and problem is logged, in bytes each.
const LOGGED_MAX_BYTES: usize = 128;

/// A page: its tools, those that are none with the reason, and where the next one is.
#[derive(Debug, Default)]
struct Page {
    tools: Vec<Tool>,
    unreadable: Vec<(String, String)>,
    next: Option<String>,
}

/// All tools of a server, to a bound: a server could make pages for ever. What is left out is logged, in one line.
pub(super) async fn list(server: &str, peer: &Peer<RoleClient>) -> Result<Vec<Tool>, ServiceError> {
    let (mut listed, mut unreadable) = (Vec::new(), Vec::new());
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let page = match peer.list_tools(Some(params.clone())).await {
            Ok(page) => Page { tools: page.tools, unreadable: Vec::new(), next: page.next_cursor },
            Err(ServiceError::UnexpectedResponse) => ask_again(peer, params).await?,
            Err(error) => return Err(error),
        };
        listed.extend(page.tools.into_iter().take(LISTED_MAX - listed.len()));
        unreadable.extend(page.unreadable);
        cursor = page.next;
        if cursor.is_none() || listed.len() == LISTED_MAX {
            break;
        }
    }
    if let Some((name, problem)) = unreadable.first() {
        let count = unreadable.len();
        tracing::warn!(server, unreadable = count, "an MCP server's tools cannot be read; {name:?}: {problem}");
    }
    Ok(listed)
}

/// Asks for a page that is no list as a whole, to be read tool by tool.
async fn ask_again(peer: &Peer<RoleClient>, params: PaginatedRequestParams) -> Result<Page, ServiceError> {
    let request = ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params));
    let page = match peer.send_request(request).await? {
        ServerResult::CustomResult(page) => read(&page.0),
        ServerResult::ListToolsResult(page) => {
            Some(Page { tools: page.tools, unreadable: Vec::new(), next: page.next_cursor })
        }
        _ => None,
    };
    page.ok_or(ServiceError::UnexpectedResponse)
}

/// Reads a page tool by tool; `None` for what is no page at all.
fn read(page: &Value) -> Option<Page> {
    let mut read = Page::default();
    for tool in page.get("tools")?.as_array()?.iter().take(LISTED_MAX) {
        match Tool::deserialize(tool) {
            Ok(tool) => read.tools.push(tool),
            Err(problem) => {
                let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
                let logged = |text: &str| words::line(text, LOGGED_MAX_BYTES);
                read.unreadable.push((logged(name), logged(&problem.to_string())));
            }
        }
    }
    read.next = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
    Some(read)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tool_that_is_none_is_left_out_and_the_others_stay_in_order() {
        let page = json!({ "nextCursor": "2", "tools": [
            { "name": "first", "inputSchema": { "type": "object" } },
            { "name": "bare" },
            { "inputSchema": {} },
            { "name": "list", "inputSchema": [] },
            "no tool",
            { "name": "last", "inputSchema": {}, "description": "works" },
        ] });
        let page = read(&page).expect("it is a page");
        let names: Vec<&str> = page.tools.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(names, ["first", "last"]);
        let left_out: Vec<&str> = page.unreadable.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(left_out, ["bare", "", "list", ""]);
        assert!(page.unreadable[0].1.contains("inputSchema"), "{:?}", page.unreadable);
        assert_eq!(page.next.as_deref(), Some("2"));
    }

    #[test]
    fn what_is_no_page_is_none() {
        for page in [json!({}), json!({ "tools": {} }), json!([]), Value::Null] {
            assert!(read(&page).is_none(), "{page}");
        }
    }
}
