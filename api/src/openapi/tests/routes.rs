//! The routes that are registered against the paths that are described, both ways.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use actix_web::App;
use actix_web::dev::Service;
use actix_web::http::{Method, header};
use actix_web::test::{TestRequest, call_service, init_service, read_body};

use crate::openapi::operations;

/// What to do about a difference.
const ADVICE: &str = "describe every route in api/src/openapi/operations (and its shapes in openapi/schemas.rs and \
                      openapi/requests.rs), then write the frozen copy: cargo run -p verbatim -- openapi > api/openapi.json";

/// The patterns of all resources, from how actix-web shows its own map: a node is indented more than its parent, and only
/// resources have none below them.
fn patterns(map: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = map.lines().collect();
    let mut nodes: Vec<(usize, String)> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with("patterns: Single(") {
            let pattern = lines[index + 1].trim().trim_end_matches(',').trim_matches('"').to_owned();
            nodes.push((line.len() - line.trim_start().len(), pattern));
        }
    }
    let mut found = BTreeSet::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    for (index, (depth, pattern)) in nodes.iter().enumerate() {
        parents.retain(|(above, _)| above < depth);
        parents.push((*depth, pattern.clone()));
        if nodes.get(index + 1).is_none_or(|(next, _)| next <= depth) {
            found.insert(parents.iter().map(|(_, pattern)| pattern.as_str()).collect());
        }
    }
    found
}

/// The path with a value in every place.
fn filled(pattern: &str) -> String {
    let parts: Vec<&str> = pattern.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
    parts.join("/")
}

#[actix_web::test]
async fn every_route_is_described_and_every_description_has_a_route() {
    let map: Arc<Mutex<String>> = Arc::default();
    let seen = Arc::clone(&map);
    let app = App::new().configure(crate::routes::configure).wrap_fn(move |request, next| {
        *seen.lock().unwrap() = format!("{:#?}", request.resource_map());
        next.call(request)
    });
    let app = init_service(app).await;
    call_service(&app, TestRequest::get().uri("/healthz").to_request()).await;
    let registered = patterns(&map.lock().unwrap());
    assert!(registered.contains("/healthz"), "the map of routes is not read as it is written any more: {registered:?}");
    let mut answered = BTreeSet::new();
    for pattern in &registered {
        let unknown = Method::from_bytes(b"UNKNOWN").unwrap();
        let request = TestRequest::default().method(unknown).uri(&filled(pattern)).to_request();
        let response = call_service(&app, request).await;
        let allow =
            response.headers().get(header::ALLOW).unwrap_or_else(|| panic!("{pattern} does not say what it takes"));
        for method in allow.to_str().unwrap().split(", ") {
            answered.insert(format!("{method} {pattern}"));
        }
    }
    let described: BTreeSet<String> = operations::all()
        .iter()
        .map(|operation| format!("{} {}", operation.method().to_uppercase(), operation.path()))
        .collect();
    let missing: Vec<_> = answered.difference(&described).collect();
    let stale: Vec<_> = described.difference(&answered).collect();
    assert!(missing.is_empty(), "routes that the contract does not describe: {missing:#?}\n{ADVICE}");
    assert!(stale.is_empty(), "described, but not there: {stale:#?}\n{ADVICE}");
    for line in &described {
        let (method, pattern) = line.split_once(' ').unwrap();
        let request = TestRequest::default().method(method.parse().unwrap()).uri(&filled(pattern)).to_request();
        let status = match app.call(request).await {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        assert!(status != 405 && status != 501, "{line} is promised and answered with {status}");
    }
}

#[actix_web::test]
async fn the_contract_is_there_for_everybody_and_the_page_needs_nobody_else() {
    let app = init_service(App::new().configure(crate::routes::configure)).await;
    let response = call_service(&app, TestRequest::get().uri("/openapi.json").to_request()).await;
    assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "application/json");
    assert_eq!(read_body(response).await, crate::openapi::text().as_bytes());
    let response = call_service(&app, TestRequest::get().uri("/docs").to_request()).await;
    assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "text/html; charset=utf-8");
    let policy = response.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = String::from_utf8(read_body(response).await.to_vec()).unwrap();
    assert!(page.contains("fetch(\"openapi.json\")"));
    for elsewhere in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "the page works offline, but it names something elsewhere: {elsewhere}");
    }
}
