//! What the server tells about itself: metrics, traces, log lines. And what it must never tell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::collector::{Collector, Span};
use support::provider::{Piece, Provider, Reply};
use support::server::{ServerOptions, TestServer};
use verbatim::telemetry::catalogue::{Kind, METRICS, Metric};

use crate::PROGRAM;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const SECRET: &str = "sk-scripted-secret-3141592";
const PROMPT: &str = "prompt-word-2718281";
const INSTRUCTIONS: &str = "instruction-word-1414213";
const ANSWER: &str = "answer-word-1618033";
const ARGUMENTS: &str = "argument-word-1732050";
const RESULT: &str = "result-word-2236067";

async fn start(provider: &Provider, limits: &str, more: impl IntoIterator<Item = (String, String)>) -> TestServer {
    let key = ("SCRIPTED_KEY".to_owned(), SECRET.to_owned());
    let environment = std::iter::once(key).chain(more).collect();
    let options = ServerOptions { environment, ..ServerOptions::with_config(&provider.config(limits)) };
    TestServer::start_with(PROGRAM, options).await
}

/// An answer that calls a client's tool, and the one after its result.
fn with_a_call() -> [Reply; 2] {
    let call = Piece::Call("call-1", "look", json!({ "for": ARGUMENTS }));
    [Reply::Stream(vec![call, Piece::Finish("tool_calls"), Piece::Done]), Reply::text(ANSWER)]
}

/// A chat whose model calls a client's tool, which is answered.
async fn talk(server: &TestServer, headers: &[(&str, &str)]) -> ChatClient {
    let request = json!({ "content": PROMPT, "system_prompt": INSTRUCTIONS,
        "tools": [{ "name": "look", "description": "Looks.", "parameters": { "type": "object" } }] });
    let created = server.client().call(Method::POST, "/chats", Some(&request), headers).await.expect(201);
    let chat = ChatClient::of(server.client(), &created.text_of("id"));
    chat.until_status("requires_action").await;
    let results = json!({ "results": [{ "call_id": "call-1", "result": { "seen": RESULT } }] });
    chat.post("/tool-results", results).await.expect(202);
    chat.rest().await;
    chat
}

/// The samples of a text in Prometheus' format: name with labels, and value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample is a name and a value");
            (name.to_owned(), value.parse().expect("a value is a number"))
        })
        .collect()
}

/// The metric that a sample belongs to.
fn metric_of(sample: &str) -> Option<&'static Metric> {
    let name = sample.split('{').next().unwrap_or_default();
    METRICS.iter().find(|metric| match metric.kind {
        Kind::Histogram(_) => {
            ["_bucket", "_sum", "_count"].iter().any(|end| name.strip_suffix(end) == Some(metric.name))
        }
        Kind::Counter | Kind::Gauge => name == metric.name,
    })
}

/// A sample's labels.
fn labels(sample: &str) -> Vec<(&str, &str)> {
    let Some((_, rest)) = sample.split_once('{') else { return Vec::new() };
    rest.trim_end_matches('}')
        .split("\",")
        .map(|pair| pair.split_once("=\"").expect("a label is a name and a value"))
        .map(|(name, value)| (name, value.trim_end_matches('"')))
        .collect()
}

#[tokio::test]
async fn a_turn_can_be_seen_in_the_metrics() {
    let overloaded = Reply::Status(503, Vec::new(), "{\"error\": {\"message\": \"overloaded\"}}");
    let provider = Provider::start(with_a_call().into_iter().chain([overloaded, Reply::text("Again.")])).await.unwrap();
    let server = start(&provider, "retry_base_ms = 10", []).await;
    let chat = talk(&server, &[]).await;
    chat.send("More.").await.expect(202);
    chat.rest().await;
    chat.post("/interrupt", json!({})).await.expect_problem(409, "not_allowed");
    server.client().get("//no/such/place").await.expect(404);
    let mut watched = chat.stream(None).await;

    server.client().with_key(None).get("//metrics").await.expect_problem(401, "unauthorized");
    let answer = server.client().get("//metrics").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let samples = samples(&answer.text);
    for (sample, _) in samples.iter() {
        let metric = metric_of(sample).unwrap_or_else(|| panic!("{sample} is not in the catalogue"));
        let found: Vec<&str> = labels(sample).iter().map(|(name, _)| *name).filter(|name| *name != "le").collect();
        let wanted: BTreeSet<&str> = metric.labels.iter().copied().collect();
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted, "{sample}");
        for (_, value) in labels(sample) {
            assert!(!value.contains(&chat.id), "{sample} counts a single chat");
        }
        assert!(answer.text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{sample} is not described");
    }
    let expected = [
        ("verbatim_turns_total{outcome=\"complete\"}", 2.0),
        ("verbatim_turn_duration_seconds_count", 2.0),
        ("verbatim_steps_total{action=\"generate\"}", 3.0),
        ("verbatim_attempts_total{action=\"generate\",result=\"done\"}", 3.0),
        ("verbatim_attempts_total{action=\"generate\",result=\"retried\"}", 1.0),
        ("verbatim_retries_total{kind=\"overloaded\"}", 1.0),
        ("verbatim_commands_total{command=\"CreateChat\",result=\"done\"}", 1.0),
        ("verbatim_commands_total{command=\"SendMessage\",result=\"done\"}", 1.0),
        ("verbatim_commands_total{command=\"Interrupt\",result=\"rejected\"}", 1.0),
        ("verbatim_tool_calls_total{tool=\"client\",result=\"done\"}", 1.0),
        ("verbatim_tool_result_size_bytes_count{tool=\"client\"}", 1.0),
        ("verbatim_first_part_seconds_count{provider=\"scripted\"}", 3.0),
        ("verbatim_tokens_total{model=\"scripted\",kind=\"input\"}", 33.0),
        ("verbatim_tokens_total{model=\"scripted\",kind=\"output\"}", 21.0),
        ("verbatim_provider_responses_total{provider=\"scripted\",status=\"200\"}", 3.0),
        ("verbatim_provider_responses_total{provider=\"scripted\",status=\"503\"}", 1.0),
        ("verbatim_prompt_size_bytes_count", 4.0),
        ("verbatim_stage_duration_seconds_count{stage=\"prepare\"}", 4.0),
        ("verbatim_stage_duration_seconds_count{stage=\"generate\"}", 4.0),
        ("verbatim_chats{state=\"W\"}", 1.0),
        ("verbatim_chats{state=\"R0\"}", 0.0),
        ("verbatim_chats_in_memory", 1.0),
        ("verbatim_http_requests_total{route=\"/api/v1/chats\",method=\"POST\",status=\"201\"}", 1.0),
        ("verbatim_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"}", 1.0),
        ("verbatim_projection_lag_events", 0.0),
        ("verbatim_actor_restarts_total", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name} in\n{}", answer.text);
    }
    // Streams that their readers have left count until the next write to them.
    assert!(samples["verbatim_watchers{stream=\"chat\"}"] >= 1.0, "{}", answer.text);
    let events = samples["verbatim_log_position"];
    assert!(events > 10.0 && samples["verbatim_append_batch_events_sum"] == events, "{}", answer.text);
    assert_eq!(
        samples["verbatim_appends_total{result=\"done\"}"],
        samples["verbatim_stage_duration_seconds_count{stage=\"append\"}"]
    );
    assert_eq!(samples["verbatim_projection_events_total"], events);

    watched.expect_next().await;
}

#[tokio::test]
async fn metrics_need_no_key_where_the_settings_say_so() {
    let server = TestServer::start_with(PROGRAM, ServerOptions::with_config("metrics_open = true\n")).await;
    let answer = server.client().with_key(None).get("//metrics").await.expect(200);
    let version = format!("verbatim_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(samples(&answer.text).get(&version), Some(&1.0));
    server.client().with_key(None).get("/chats").await.expect_problem(401, "unauthorized");
}

/// The metrics' names in the sources, outside tests and the catalogue.
fn counted() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                walk(&path, found);
            } else if name.ends_with(".rs") && name != "tests.rs" && name != "catalogue.rs" {
                let text = std::fs::read_to_string(&path).expect("the source can be read");
                let words: Vec<&str> = text.split('"').collect();
                for pair in words.windows(2) {
                    let before = pair[0].trim_end();
                    if pair[1].starts_with("verbatim_") && (before.ends_with("!(") || before.ends_with("Family::new("))
                    {
                        found.insert(pair[1].to_owned());
                    }
                }
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository");
    let mut found = BTreeSet::new();
    for folder in ["actors/src", "actors/llm/src", "events/sql/src", "projections/src", "api/src"] {
        walk(&root.join(folder), &mut found);
    }
    found
}

#[test]
fn the_catalogue_describes_what_is_counted_and_nothing_else() {
    let described: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(described.len(), METRICS.len(), "a metric is described twice");
    assert_eq!(counted(), described);
    for Metric { name, kind, .. } in METRICS {
        assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
    }
}

/// The trace id of each event of a chat.
async fn trace_ids(chat: &ChatClient) -> Vec<Option<String>> {
    let answer = chat.get("/events?limit=200").await.expect(200);
    answer.items().iter().map(|event| event["trace_id"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_requests_trace_goes_into_the_events_it_causes() {
    let provider = Provider::start(with_a_call()).await.unwrap();
    let server = start(&provider, "", []).await;
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let chat = talk(&server, &[("traceparent", &traceparent)]).await;
    let traces = trace_ids(&chat).await;
    let answered = traces.iter().position(Option::is_none).expect("the results came without a trace");
    let expected = Some(TRACE.to_owned());
    assert!(answered > 4 && traces[..answered].iter().all(|trace| *trace == expected), "{traces:?}");

    let broken = [("traceparent", "00-broken")];
    let created = server.client().call(Method::POST, "/chats", Some(&json!({})), &broken).await.expect(201);
    assert_eq!(trace_ids(&ChatClient::of(server.client(), &created.text_of("id"))).await, [None]);
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name:?} in {spans:#?}"))
}

#[tokio::test]
async fn a_collector_gets_the_spans_of_a_turn() {
    let collector = Collector::start().await.unwrap();
    let overloaded = Reply::Status(503, Vec::new(), "{\"error\": {\"message\": \"overloaded\"}}");
    let provider = Provider::start(std::iter::once(overloaded).chain(with_a_call())).await.unwrap();
    let server = start(&provider, "retry_base_ms = 10", collector.environment()).await;
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let chat = talk(&server, &[("traceparent", &traceparent)]).await;
    // Everything of a turn is there once its last step is: what is below is closed before what is above.
    let steps = |spans: &[Span]| spans.iter().filter(|span| span.name == "CommitStep").count();
    let requests = |spans: &[Span]| spans.iter().filter(|span| span.name == "POST /api/v1/chats").count();
    let delivered =
        collector.until(|delivered| steps(&delivered.spans) == 2 && requests(&delivered.spans) == 1).await.unwrap();
    assert_eq!(delivered.resource.get("service.name").map(String::as_str), Some("verbatim"));

    let ours: Vec<Span> = delivered.spans.iter().filter(|span| span.trace_id == TRACE).cloned().collect();
    let request = named(&ours, "POST /api/v1/chats");
    assert_eq!((request.parent_span_id.as_str(), request.kind), (SPAN, 2));
    assert_eq!(request.attribute("http.response.status_code"), "201");
    let command = named(&ours, "CreateChat");
    assert_eq!(command.parent_span_id, request.span_id);
    assert_eq!((command.attribute("chat.id"), command.attribute("command.result")), (chat.id.as_str(), "done"));
    let attempts: Vec<&Span> = ours.iter().filter(|span| span.name == "chat script-1").collect();
    let [failed, called] = attempts[..] else { panic!("two attempts belong to the request: {attempts:#?}") };
    for (attempt, number) in [(failed, "1"), (called, "2")] {
        assert_eq!((attempt.parent_span_id.as_str(), attempt.kind), (command.span_id.as_str(), 3), "{attempt:#?}");
        for (name, value) in [
            ("chat.id", chat.id.as_str()),
            ("gen_ai.conversation.id", chat.id.as_str()),
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "script-1"),
            ("model", "scripted"),
            ("provider", "scripted"),
            ("attempt.tries", number),
        ] {
            assert_eq!(attempt.attribute(name), value, "{name} of {attempt:#?}");
        }
        assert!(
            !attempt.attribute("turn.id").is_empty() && !attempt.attribute("attempt.id").is_empty(),
            "{attempt:#?}"
        );
    }
    assert_eq!((failed.status, failed.attribute("error.type")), (2, "overloaded"));
    assert_eq!(failed.attribute("http.response.status_code"), "503");
    assert_eq!(called.status, 0, "{called:#?}");
    assert_eq!(called.attribute("gen_ai.response.finish_reasons"), "tool_calls");
    assert_eq!(called.attribute("gen_ai.usage.input_tokens"), "11");
    assert_eq!(called.attribute("gen_ai.usage.output_tokens"), "7");
    assert!(called.duration_ns > 0 && called.duration_ns < 60_000_000_000, "{called:#?}");

    // Without a trace of its own the request with the results got one, and its events say which.
    let results = named(&delivered.spans, "SubmitToolResults");
    assert_ne!(results.trace_id, TRACE);
    let traces = trace_ids(&chat).await;
    assert_eq!(traces.last(), Some(&Some(results.trace_id.clone())), "{traces:?}");
    let text = String::from_utf8_lossy(&delivered.bytes).into_owned();
    for word in [SECRET, PROMPT, INSTRUCTIONS, ANSWER, ARGUMENTS, RESULT] {
        assert!(!text.contains(word), "the collector was told {word}");
    }
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_nothing_up() {
    let provider = Provider::start([Reply::text("Fine.")]).await.unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let more = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    let mut server = start(&provider, "", more.map(|(name, value)| (name.to_owned(), value.to_owned()))).await;
    let chat = ChatClient::begin(server.client(), "How are you?").await;
    chat.rest().await;
    assert_eq!(chat.history().await[1].1, "Fine.");
    assert!(server.terminate().await.unwrap().success());
}

#[tokio::test]
async fn a_collector_that_refuses_is_told_of_once() {
    let collector = Collector::start_refusing(2).await.unwrap();
    let provider = Provider::start([]).await.unwrap();
    let mut server = start(&provider, "", collector.environment()).await;
    for refused in 1..=2 {
        server.client().get("/chats").await.expect(200);
        collector.until(|delivered| delivered.refused >= refused).await.unwrap();
    }
    server.client().get("/chats").await.expect(200);
    collector.until(|delivered| !delivered.spans.is_empty()).await.unwrap();
    assert!(server.terminate().await.unwrap().success());
    let log = server.log();
    assert_eq!(log.matches("The trace collector does not take traces").count(), 1, "{log}");
    assert_eq!(log.matches("The trace collector takes traces again").count(), 1, "{log}");
}

#[tokio::test]
async fn at_the_finest_level_the_log_tells_no_secrets() {
    let broken = Reply::Status(401, Vec::new(), "{\"error\": {\"message\": \"bad key sk-scripted-secret-3141592\"}}");
    let provider = Provider::start(with_a_call().into_iter().chain([broken])).await.unwrap();
    let mut server = start(&provider, "", [("VERBATIM_LOG".to_owned(), "trace".to_owned())]).await;
    let chat = talk(&server, &[("idempotency-key", "idempotency-word-123")]).await;
    let admin_key = std::fs::read_to_string(server.data_dir().join("admin.key")).unwrap();
    let admin_key = admin_key.trim();
    let by_query = format!("{}?access_token={admin_key}&after=0", chat.path("/stream"));
    server.client().with_key(None).open(&by_query, None).await.unwrap();
    server.client().get(&format!("/chats?q={PROMPT}")).await.expect(200);
    chat.send(PROMPT).await.expect(202);
    let failed = chat.rest().await;
    assert_eq!(failed["last_error"]["kind"], Value::from("auth"));
    assert!(server.terminate().await.unwrap().success());
    let log = server.log();
    for sign in ["A request was answered.", "command{", "attempt{", "gen_ai.request.model=\"script-1\"", "TRACE"] {
        assert!(log.contains(sign), "the log shows {sign}");
    }
    for word in [SECRET, PROMPT, INSTRUCTIONS, ANSWER, ARGUMENTS, RESULT, admin_key] {
        let line = log.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "the log tells {word}");
    }
}
