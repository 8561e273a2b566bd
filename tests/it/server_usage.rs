//! What is spent, in every wire protocol, at the prices of the time: counted once, told to whom it concerns, and bounded.

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::http::Client;
use support::provider::{Gate, Piece, Provider, Reply};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// 60 prompt tokens, 40 more from the cache, 7 of output: in each protocol's own way of counting.
const CHAT: &str = concat!(
    "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":7,",
    "\"total_tokens\":107,\"prompt_tokens_details\":{\"cached_tokens\":40}}}\n\n",
    "data: [DONE]\n\n"
);
const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hello\"}\n\n",
    "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",",
    "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello\"}]}}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",",
    "\"output\":[],\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":40},\"output_tokens\":7,",
    "\"output_tokens_details\":{\"reasoning_tokens\":3},\"total_tokens\":107}}}\n\n"
);
const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":60,",
    "\"cache_read_input_tokens\":30,\"cache_creation_input_tokens\":10,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
);

/// Three providers at one address, a model of each protocol with prices, and one without.
fn config(provider: &Provider, input_micros: u64, more: &str) -> String {
    let scripted = provider.config("retry_base_ms = 10");
    let port = scripted.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let prices = format!(
        "input_micros = {input_micros}\noutput_micros = 10000000\ncache_read_micros = 100000\ncache_write_micros = 1250000"
    );
    format!(
        "[providers.chat]\nkind = \"openai_chat\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
         [providers.responses]\nkind = \"openai_responses\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
         [providers.claude]\nkind = \"anthropic\"\nbase_url = \"http://127.0.0.1:{port}\"\napi_key_env = \"SCRIPTED_KEY\"\n\
         [models.chat]\nprovider = \"chat\"\ndefault = true\n[models.chat.prices]\n{prices}\n\
         [models.responses]\nprovider = \"responses\"\n[models.responses.prices]\n{prices}\n\
         [models.claude]\nprovider = \"claude\"\n[models.claude.prices]\n{prices}\n\
         [models.unpriced]\nprovider = \"chat\"\n\
         [limits]\nretry_base_ms = 10\n{more}"
    )
}

fn options(config: String) -> ServerOptions {
    ServerOptions {
        environment: vec![("SCRIPTED_KEY".to_owned(), "sk-scripted".to_owned())],
        ..ServerOptions::with_config(&config)
    }
}

fn raw(text: &'static str) -> Reply {
    Reply::Stream(vec![Piece::Raw(text)])
}

async fn user(admin: &Client, owner: &str) -> Client {
    let made = admin.post("/keys", json!({ "name": owner, "owner": owner, "roles": ["user"] })).await.expect(201);
    admin.with_key(Some(&made.text_of("key")))
}

/// The turn that a chat's newest message set off, once it is over.
async fn turn(chat: &ChatClient) -> Value {
    chat.rest().await;
    chat.get("/turns").await.expect(200).items()[0].clone()
}

#[tokio::test]
async fn every_protocol_is_counted_alike_and_everybody_sees_their_own() {
    let silent = Reply::Stream(vec![Piece::Finish("stop"), Piece::Done]);
    let script = [raw(CHAT), raw(RESPONSES), raw(ANTHROPIC), silent, raw(CHAT)];
    let provider = Provider::start(script).await.unwrap();
    let mut server = TestServer::start_with(PROGRAM, options(config(&provider, 1_000_000, ""))).await;
    let (ada, bob) = (user(server.client(), "ada").await, user(server.client(), "bob").await);
    for model in ["chat", "responses", "claude"] {
        let chat = ChatClient::create(&ada, json!({ "content": "Hi", "model": model })).await;
        let turn = turn(&chat).await;
        // 60 × 1 + 7 × 10 + the cache: 40 × 0.1, or 30 × 0.1 and 10 × 1.25, rounded once.
        let cost = if model == "claude" { 146 } else { 134 };
        assert_eq!((&turn["outcome"], &turn["cost_micros"]), (&json!("complete"), &json!(cost)), "{model}: {turn}");
        let usage = &turn["usage"];
        let at = |name: &str| usage[name].as_u64().unwrap();
        assert_eq!(at("input_tokens") + at("cache_read_tokens") + at("cache_write_tokens"), 100, "{model}: {usage}");
        assert_eq!((at("input_tokens"), at("output_tokens")), (60, 7), "{model}: {usage}");
        assert_eq!(chat.get("").await.expect(200).body["cost_micros"], cost, "{model}");
    }
    // A call that said nothing is paid too: 11 × 1 + 7 × 10.
    let unheard = ChatClient::create(&ada, json!({ "content": "Hi" })).await;
    let over = turn(&unheard).await;
    assert_eq!((&over["outcome"], &over["cost_micros"]), (&json!("no_output"), &json!(81)), "{over}");
    let replay = unheard.replay().await;
    let spent = replay.iter().find(|frame| frame.event == "usage_recorded").expect("the call without a word");
    assert_eq!((&spent.data["data"]["purpose"], &spent.data["data"]["cost_micros"]), (&json!("answer"), &json!(81)));
    // A model without a price costs nobody knows what, which is not nothing.
    let unpriced = ChatClient::create(&bob, json!({ "content": "Hi", "model": "unpriced" })).await;
    let over = turn(&unpriced).await;
    assert_eq!((over.get("cost_micros"), &over["usage"]["output_tokens"]), (None, &json!(7)), "{over}");

    let report = ada.get("/usage?group=model").await.expect(200).body;
    let sums: Vec<_> = report["items"].as_array().unwrap().iter().collect();
    let told: Vec<_> = sums.iter().map(|sum| (&sum["model"], &sum["steps"], &sum["cost_micros"])).collect();
    assert_eq!(
        told,
        [
            (&json!("chat"), &json!(2), &json!(134 + 81)),
            (&json!("claude"), &json!(1), &json!(146)),
            (&json!("responses"), &json!(1), &json!(134)),
        ]
    );
    assert_eq!((&report["total"]["cost_micros"], &report["total"]["steps"]), (&json!(134 + 81 + 146 + 134), &json!(4)));
    let bobs = bob.get("/usage").await.expect(200).body;
    assert_eq!((&bobs["total"]["cost_micros"], &bobs["total"]["unpriced_steps"]), (&Value::Null, &json!(1)));
    assert_eq!(bobs["items"][0]["owner"], "bob");
    // Nobody sees what others spent, whatever they ask for.
    bob.get("/usage?owner=ada").await.expect_problem(403, "forbidden");
    let foreign = bob.get(&format!("/usage?chat={}", unheard.id)).await.expect(200).body;
    assert_eq!((&foreign["items"], &foreign["total"]["steps"]), (&json!([]), &json!(0)));
    let all = server.client().get("/usage?group=owner,purpose").await.expect(200).body;
    let owners: Vec<_> = all["items"].as_array().unwrap().iter().map(|sum| sum["owner"].clone()).collect();
    assert_eq!(owners, [json!("ada"), json!("bob")]);
    for wrong in ["group=", "group=day,day", "group=week", "from=2026-1-1", "to=tomorrow", "chat=x", "cursor=zz"] {
        server.client().get(&format!("/usage?{wrong}")).await.expect_problem(400, "invalid_request");
    }

    // A rebuild, and another start, tell the same.
    let before = server.client().get("/usage?group=owner,day,model,purpose,chat").await.expect(200).body;
    let rebuilt = server.run(&["projections", "rebuild", "--verify"]).await.unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    assert_eq!(server.client().get("/usage?group=owner,day,model,purpose,chat").await.expect(200).body, before);
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    assert_eq!(server.client().get("/usage?group=owner,day,model,purpose,chat").await.expect(200).body, before);
}

#[tokio::test]
async fn a_step_costs_what_its_model_cost_at_the_time() {
    let provider = Provider::start([raw(CHAT), raw(CHAT)]).await.unwrap();
    let mut server = TestServer::start_with(PROGRAM, options(config(&provider, 1_000_000, ""))).await;
    let chat = ChatClient::begin(server.client(), "Hi").await;
    assert_eq!(turn(&chat).await["cost_micros"], 134);
    server.terminate().await.unwrap();
    std::fs::write(server.home().join("verbatim.toml"), config(&provider, 2_000_000, "")).unwrap();
    server.start_again().await.unwrap();
    let chat = chat.through(server.client());
    chat.send("Again").await.expect(202);
    assert_eq!(turn(&chat).await["cost_micros"], 194);
    let report = server.client().get(&format!("/usage?chat={}&group=chat", chat.id)).await.expect(200).body;
    assert_eq!((&report["items"][0]["chat"], &report["total"]["cost_micros"]), (&json!(chat.id), &json!(328)));
}

/// An answer that has begun and goes no further: the prompt's tokens stand at its head.
const ANTHROPIC_BEGUN: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":60,",
    "\"cache_read_input_tokens\":30,\"cache_creation_input_tokens\":10,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n",
);

#[tokio::test]
async fn a_call_that_was_cut_off_is_counted_once_with_what_was_reported_of_it() {
    let begun = |pieces: Vec<Piece>, end| Reply::Stream(pieces.into_iter().chain([end]).collect());
    let claude = || begun(vec![Piece::Raw(ANTHROPIC_BEGUN)], Piece::Stall);
    let script = [
        // Interrupted, and edited.
        claude(),
        claude(),
        raw(ANTHROPIC),
        // Broken in the middle, refused, and killed.
        begun(vec![Piece::Text("Hel")], Piece::Cut),
        Reply::Status(503, Vec::new(), "{}"),
        begun(vec![Piece::Text("Hel")], Piece::Stall),
        raw(CHAT),
    ];
    let provider = Provider::start(script).await.unwrap();
    let mut server = TestServer::start_with(PROGRAM, options(config(&provider, 1_000_000, ""))).await;
    let begin = async |client: &Client, model: &str| {
        let chat = ChatClient::create(client, json!({ "model": model })).await;
        let mut stream = chat.stream(None).await;
        chat.send("Hi").await.expect(202);
        stream.until_event("part").await;
        chat
    };
    // 60 × 1 + 30 × 0.1 + 10 × 1.25 + 1 × 10.
    let interrupted = begin(server.client(), "claude").await;
    interrupted.post("/interrupt", json!({})).await.expect(202);
    assert_eq!(turn(&interrupted).await["cost_micros"], 86);
    let edited = begin(server.client(), "claude").await;
    let asked = edited.get("/messages").await.expect(200).items()[0]["id"].clone();
    edited.client().patch(&edited.path(&format!("/messages/{asked}")), json!({ "content": "Ho" })).await.expect(202);
    assert_eq!(turn(&edited).await["cost_micros"], 146);
    let shown = edited.get("").await.expect(200).body;
    assert_eq!((&shown["cost_micros"], &shown["usage"]["input_tokens"]), (&json!(86 + 146), &json!(120)), "{shown}");
    // Chat completions tell their figures at the end alone.
    let killed = begin(server.client(), "chat").await;
    provider.requests(6).await.unwrap();
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let killed = killed.through(server.client());
    assert_eq!(turn(&killed).await.get("cost_micros"), None);
    let report = server.client().get("/usage?group=model").await.expect(200).body;
    let sums: Vec<_> = report["items"].as_array().unwrap().iter().collect();
    let told: Vec<_> = sums.iter().map(|sum| (&sum["model"], &sum["steps"], &sum["unpriced_steps"])).collect();
    assert_eq!(told, [(&json!("chat"), &json!(3), &json!(2)), (&json!("claude"), &json!(3), &json!(0))]);
    let rebuilt = server.run(&["projections", "rebuild", "--verify"]).await.unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
}

/// A budget of so many micros in this month.
fn budget(limit_micros: u64) -> Value {
    json!({ "period": "month", "limit_micros": limit_micros })
}

#[tokio::test]
async fn a_turn_that_would_begin_over_the_budget_fails_visibly_and_goes_on_when_it_is_raised() {
    let gate = Gate::default();
    let held = Reply::Stream(vec![Piece::Wait(gate.clone()), Piece::Raw(CHAT)]);
    let provider = Provider::start([held, raw(CHAT), raw(CHAT), raw(CHAT)]).await.unwrap();
    let default = "[budgets.default]\nperiod = \"day\"\nlimit_tokens = 1000000\n";
    let mut server = TestServer::start_with(PROGRAM, options(config(&provider, 1_000_000, default))).await;
    let ada = user(server.client(), "ada").await;
    let read = ada.get("/budgets/ada").await.expect(200).body;
    assert_eq!(
        (&read["source"], &read["limit_tokens"], &read["used_up"]),
        (&json!("file"), &json!(1000000), &json!(false))
    );

    // The turn that uses the budget up is not cut; what waits behind it is refused, and so is every other turn.
    let set = server.client().put("/budgets/ada", budget(100)).await.expect(200).body;
    assert_eq!((&set["limit_micros"], &set["source"]), (&json!(100), &json!("api")));
    let chat = ChatClient::begin(&ada, "Hi").await;
    for text in ["second", "third"] {
        assert_eq!(chat.send(text).await.expect(202).body["status"], "running");
    }
    gate.open();
    chat.until_status("error").await;
    let shown = chat.get("").await.expect(200).body;
    let error = &shown["last_error"];
    assert_eq!((&error["kind"], &error["retryable"]), (&json!("usage_limit"), &json!(false)), "{shown}");
    assert!(error["message"].as_str().unwrap().contains("$0.000134 of $0.0001 are spent"), "{error}");
    assert_eq!((&shown["status"], &shown["queue_length"]), (&json!("error"), &json!(1)), "{shown}");
    let other = ChatClient::create(&ada, json!({})).await;
    other.send("Me too").await.expect(202);
    let over = turn(&other).await;
    assert_eq!((&over["outcome"], &over["attempts"]), (&json!("failed"), &json!(0)), "no model was asked: {over}");
    assert_eq!(provider.requests(1).await.unwrap().len(), 1);
    // Others are none the worse, and see nothing of it.
    let bob = user(server.client(), "bob").await;
    bob.get("/budgets/ada").await.expect_problem(403, "forbidden");
    assert_eq!(bob.get("/budgets").await.expect(200).body["items"], json!([]));

    // Killed and started again it is still used up.
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let ada = server.client().with_key(ada.key());
    let (chat, other) = (chat.through(&ada), other.through(&ada));
    other.send("And now?").await.expect(202);
    assert_eq!(turn(&other).await["error"]["kind"], "usage_limit");
    let read = ada.get("/budgets/ada").await.expect(200).body;
    assert_eq!((&read["used_up"], &read["spent"]["cost_micros"]), (&json!(true), &json!(134)), "{read}");

    // What waits goes on by itself once there is room, and no further than there is.
    server.client().put("/budgets/ada", budget(200)).await.expect(200);
    chat.until_status("waiting").await;
    assert_eq!(chat.history().await.last().unwrap().1, "Hello");
    chat.send("fourth").await.expect(202);
    assert_eq!(turn(&chat).await["error"]["kind"], "usage_limit", "268 of 200 are spent");
    server.client().delete("/budgets/ada").await.expect(204);
    server.client().delete("/budgets/ada").await.expect_problem(404, "budget_not_found");
    chat.send("fifth").await.expect(202);
    assert_eq!(turn(&chat).await["outcome"], "complete", "the default one counts again");
    for wrong in [json!({}), json!({ "period": "week" }), json!({ "period": "day", "limit_micros": -1 })] {
        server.client().put("/budgets/ada", wrong).await.expect_problem(400, "invalid_request");
    }
}
