//! A model and tools that do what a test tells them, call by call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use verbatim_actors::ports::{ModelCatalog, ResolvedModel};
use verbatim_events::chat::Chat;
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::event::{EffectClass, Offer, RequestRecipe, ToolDefinition};
use verbatim_events::ids::Digest;
use verbatim_events::log::BoxFuture;
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::{
    CallIdentity, EncodedRequest, Meter, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt,
};
use verbatim_events::part::{LivePart, Part};
use verbatim_events::tool::{OutputSink, ToolAnswer, ToolBox, ToolInvocation};

/// One thing a scripted call does.
#[derive(Clone, Debug)]
pub enum Line {
    /// Says this.
    Say(LivePart),
    /// Its provider takes the request: from here on the call is paid for.
    Take,
    /// Its provider says what was spent until now.
    Report(Usage),
    /// Waits until the test opens this gate.
    Wait(Gate),
    /// Fails.
    Fail(CallError),
    /// Ends well, for this reason.
    End(FinishReason),
    /// Panics.
    Panic,
    /// Never ends.
    Hang,
}

/// It was done.
pub const STOP: Line = Line::End(FinishReason::Stop);
/// It waits for its calls.
pub const CALLS: Line = Line::End(FinishReason::ToolCalls);

/// A text delta.
pub fn say(text: &str) -> Line {
    Line::Say(LivePart::TextDelta { text: text.to_owned() })
}

/// A whole tool call.
pub fn call_tool(call_id: &str, name: &str, args: Value) -> Line {
    Line::Say(LivePart::Whole(Part::ToolCall {
        call_id: call_id.to_owned(),
        name: name.to_owned(),
        args,
        provider_executed: false,
        metadata: None,
    }))
}

/// A retryable failure.
pub fn fail_retryable() -> Line {
    Line::Fail(ChatError::retryable(ErrorKind::Overloaded, "The model is overloaded.").into())
}

/// A failure that no retry mends.
pub fn fail_for_good() -> Line {
    Line::Fail(ChatError::terminal(ErrorKind::Auth, "The key was refused.").into())
}

/// A gate that holds a scripted call until the test opens it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    /// Waits until it is open.
    pub async fn pass(&self) {
        // Closing the semaphore is what opens the gate.
        let _ = self.0.acquire().await;
    }
}

/// A model that plays one script per call.
#[derive(Clone)]
pub struct ScriptedModel {
    scripts: Arc<Mutex<VecDeque<Vec<Line>>>>,
    requests: Arc<Mutex<Vec<Value>>>,
    panics_to_come: Arc<Mutex<u32>>,
    provider_tools: Vec<Value>,
}

impl ScriptedModel {
    /// Plays these, one per call; a call beyond the last fails for good.
    pub fn new(scripts: Vec<Vec<Line>>) -> ScriptedModel {
        ScriptedModel {
            scripts: Arc::new(Mutex::new(scripts.into())),
            requests: Arc::default(),
            panics_to_come: Arc::default(),
            provider_tools: Vec::new(),
        }
    }

    /// The same model, which has tools that its provider runs.
    pub fn with_provider_tools(self, provider_tools: Vec<Value>) -> ScriptedModel {
        ScriptedModel { provider_tools, ..self }
    }

    /// The requests made so far: the texts of each prompt's messages.
    pub fn requests(&self) -> Vec<Value> {
        lock(&self.requests).clone()
    }

    /// Lets the next `count` look-ups of the model panic, on the thread of the chat's actor.
    pub fn panic_on_resolve(&self, count: u32) {
        *lock(&self.panics_to_come) = count;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ModelCatalog for ScriptedModel {
    fn resolve(&self, name: Option<&str>) -> Result<ResolvedModel, ChatError> {
        let panics = {
            let mut panics = lock(&self.panics_to_come);
            let now = *panics > 0;
            *panics = panics.saturating_sub(1);
            now
        };
        assert!(!panics, "the test asked for this panic");
        let settings = ModelSettings {
            name: name.unwrap_or("scripted").to_owned(),
            provider: "script".to_owned(),
            provider_model: "scripted".to_owned(),
            context_window: None,
            max_output_tokens: None,
            provider_tools: self.provider_tools.clone(),
            ..ModelSettings::default()
        };
        Ok(ResolvedModel { settings, provider: Arc::new(self.clone()) })
    }
}

impl ModelProvider for ScriptedModel {
    fn encode(
        &self,
        prompt: &Prompt,
        model: &ModelSettings,
        effort: Option<&str>,
    ) -> Result<EncodedRequest, ChatError> {
        let messages: Vec<Value> =
            prompt.messages.iter().map(|message| json!({ "role": message.role, "parts": message.parts })).collect();
        let body =
            serde_json::to_vec(&messages).map_err(|error| ChatError::terminal(ErrorKind::Config, error.to_string()))?;
        let recipe = RequestRecipe {
            protocol: "script".to_owned(),
            provider: model.provider.clone(),
            provider_model: model.provider_model.clone(),
            max_output_tokens: None,
            effort: effort.map(str::to_owned),
            provider_tools: model.provider_tools.clone(),
            encoder: 1,
            ..RequestRecipe::default()
        };
        Ok(EncodedRequest { digest: Digest::of(&body), body, recipe })
    }

    fn call(
        &self,
        request: EncodedRequest,
        _identity: CallIdentity,
        mut sink: PartSink,
        meter: Meter,
    ) -> BoxFuture<'static, Result<ModelFinished, CallError>> {
        lock(&self.requests).push(serde_json::from_slice(&request.body).unwrap_or(Value::Null));
        let script = lock(&self.scripts).pop_front();
        Box::pin(async move {
            for line in script.unwrap_or_else(|| vec![fail_for_good()]) {
                match line {
                    Line::Say(part) => {
                        sink(part);
                    }
                    Line::Take => meter.sent(),
                    Line::Report(usage) => meter.report(usage),
                    Line::Wait(gate) => gate.pass().await,
                    Line::Fail(error) => return Err(error),
                    Line::End(finish_reason) => {
                        let usage = Some(Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() });
                        return Ok(ModelFinished { finish_reason, usage, response_id: None, refusal: None });
                    }
                    Line::Panic => panic!("the script says so"),
                    Line::Hang => std::future::pending().await,
                }
            }
            Ok(ModelFinished { finish_reason: FinishReason::Stop, usage: None, response_id: None, refusal: None })
        })
    }
}

/// A tool that runs when the test lets it.
#[derive(Clone)]
struct ScriptedTool {
    effect_class: EffectClass,
    gate: Gate,
}

/// Tools that answer with their arguments and tell the test of every run.
#[derive(Clone)]
pub struct ScriptedTools {
    tools: Arc<BTreeMap<String, ScriptedTool>>,
    runs: mpsc::Sender<ToolInvocation>,
}

impl ScriptedTools {
    /// Tools of these names and classes, each behind its gate; every run is told to the receiver.
    pub fn new(tools: Vec<(&str, EffectClass, Gate)>) -> (ScriptedTools, mpsc::Receiver<ToolInvocation>) {
        let (runs, told) = mpsc::channel(64);
        let tools = tools
            .into_iter()
            .map(|(name, effect_class, gate)| (name.to_owned(), ScriptedTool { effect_class, gate }))
            .collect();
        (ScriptedTools { tools: Arc::new(tools), runs }, told)
    }
}

impl ToolBox for ScriptedTools {
    fn offer(&self, _chat: &Chat) -> Arc<Offer> {
        let tools = self
            .tools
            .keys()
            .map(|name| {
                Arc::new(ToolDefinition {
                    name: name.clone(),
                    description: "Answers with its arguments.".to_owned(),
                    parameters: json!({ "type": "object" }),
                })
            })
            .collect();
        Arc::new(Offer { tools, ..Offer::default() })
    }

    fn effect_class(&self, _chat: &Chat, name: &str) -> Option<EffectClass> {
        self.tools.get(name).map(|tool| tool.effect_class)
    }

    fn run(&self, invocation: ToolInvocation, mut output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        let tool = self.tools.get(&invocation.name).cloned();
        let runs = self.runs.clone();
        Box::pin(async move {
            let result = invocation.args.clone();
            // The test may have stopped listening; the tool runs all the same.
            let _ = runs.send(invocation).await;
            output("running".to_owned());
            if let Some(tool) = tool {
                tool.gate.pass().await;
            }
            ToolAnswer::ok(result)
        })
    }
}
