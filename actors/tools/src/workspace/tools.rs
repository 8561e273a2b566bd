//! The workspace tools: what is offered, and who answers a call.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use verbatim_events::chat::Chat;
use verbatim_events::event::{EffectClass, ToolDefinition, WorkspaceBinding};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::log::BoxFuture;
use verbatim_events::part::{FileContent, Part};
use verbatim_events::tool::{CallKey, ChatAccess, ContextFiles, OutputSink, ToolAnswer, ToolInvocation};

use super::answers;
use super::create::{Creation, Wish, bound_by};
use super::definitions::{Needs, Tool, defined, tool};
use super::file_tools;
use super::life;
use super::port::{ProvisionError, WorkspaceStatus};
use super::shell::{ExecuteArguments, Shell};
use super::skills;
use super::survey::{Surveys, read_context, workspace_of};
use super::workspaces::{Workspaces, key_of, own_key_of};
use crate::files::Files;

/// Templates on a page.
const TEMPLATES_PER_PAGE: usize = 10;
/// The largest file that is attached, in bytes.
const ATTACHMENT_MAX_BYTES: usize = 10 * 1024 * 1024;

/// The tool whose calls leave something running when their futures end.
const EXECUTE: &str = "execute";

/// Why a file was not kept; in words for the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// A file on its way to a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// The chat.
    pub chat_id: ChatId,
    /// Names the wish: the same for the same call.
    pub key: String,
    /// The file's name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// What stands in it.
    pub bytes: Vec<u8>,
}

/// Where chats' files are kept.
pub trait FileStore: Send + Sync {
    /// Keeps a file and says its id. The same wish again is answered with the same id.
    fn put(&self, file: NewFile) -> BoxFuture<'static, Result<String, StoreError>>;
}

/// The workspace tools. Cheap to clone.
#[derive(Clone)]
pub struct WorkspaceTools {
    inner: Arc<Inner>,
}

struct Inner {
    spaces: Arc<Workspaces>,
    access: Arc<dyn ChatAccess>,
    store: Option<Arc<dyn FileStore>>,
    surveys: Arc<Surveys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    query: Option<String>,
    page: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateArguments {
    template_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateArguments {
    template_id: Option<String>,
    name: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachArguments {
    path: String,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

fn arguments<T: DeserializeOwned>(args: &Value) -> Result<T, ToolAnswer> {
    T::deserialize(args).map_err(|error| ToolAnswer::error(format!("the arguments do not fit: {error}")))
}

impl WorkspaceTools {
    /// The tools of these workspaces.
    pub fn new(spaces: Arc<Workspaces>, access: Arc<dyn ChatAccess>) -> WorkspaceTools {
        let surveys = Surveys::new(Arc::clone(&spaces), Arc::clone(&access));
        WorkspaceTools { inner: Arc::new(Inner { spaces, access, store: None, surveys }) }
    }

    /// The same tools with a place where chats' files are kept: `attach_file` is offered.
    pub fn with_store(self, store: Arc<dyn FileStore>) -> WorkspaceTools {
        let Inner { spaces, access, surveys, .. } = &*self.inner;
        let (spaces, access, surveys) = (Arc::clone(spaces), Arc::clone(access), Arc::clone(surveys));
        let inner = Inner { spaces, access, store: Some(store), surveys };
        WorkspaceTools { inner: Arc::new(inner) }
    }

    /// What a chat is offered: nothing where there are no templates and it has no workspace, no shell where none may be used,
    /// skills where it has a workspace.
    pub fn definitions(&self, chat: &Chat) -> Vec<Arc<ToolDefinition>> {
        let bound = bound_by(chat).is_some();
        let is_offered = |tool: &Tool| self.inner.has(chat, tool.needs) && (bound || tool.needs != Needs::Workspace);
        defined().filter(|(tool, _)| is_offered(tool)).map(|(_, definition)| Arc::clone(definition)).collect()
    }

    /// What a crash in the middle of a call means; `None` for what is no tool of these that the chat could have.
    pub fn effect_class(&self, chat: &Chat, name: &str) -> Option<EffectClass> {
        tool(name).filter(|tool| self.inner.has(chat, tool.needs)).map(|tool| tool.effect_class)
    }

    /// Answers a call.
    pub fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let (chat_id, name) = (invocation.key.chat_id, invocation.name.clone());
            let answer = inner.answer(invocation, output).await.unwrap_or_else(|refused| refused);
            inner.look_after(chat_id, &name, &answer);
            answer
        })
    }

    /// Reads the context files of a chat's workspace; `None` where it has none.
    pub fn context(&self, chat: &Chat) -> Option<BoxFuture<'static, ContextFiles>> {
        workspace_of(chat)?;
        let (inner, chat) = (Arc::clone(&self.inner), chat.clone());
        Some(Box::pin(async move { read_context(&inner.spaces, &chat).await }))
    }

    /// Looks at a chat's workspace now that a turn begins; `None` where it has none, or somebody looks at it already.
    pub fn turn_began(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        workspace_of(chat)?;
        self.noticed(chat.outline.id)
    }

    /// Looks at a chat's workspace now that something happened to it; `None` where somebody looks at it already.
    pub fn noticed(&self, chat_id: ChatId) -> Option<BoxFuture<'static, ()>> {
        let work = self.inner.surveys.noticed(chat_id)?;
        Some(Box::pin(work))
    }

    /// The user stopped the turn that this call runs in.
    pub fn cancel(&self, key: CallKey, name: &str) -> BoxFuture<'static, ()> {
        if name != EXECUTE {
            // A build goes on, and is found by whoever asks next; everything else ends by itself.
            return Box::pin(async {});
        }
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            // One that runs is ended also where new ones may not be run any more.
            if let Some(shell) = inner.spaces.any_shell() {
                shell.cancel(&key).await;
            }
        })
    }

    /// The calls whose commands run, whether anybody waits for them or they run on by themselves.
    pub fn left_running(&self) -> BoxFuture<'static, Vec<(CallKey, String)>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let Some(shell) = inner.spaces.any_shell() else { return Vec::new() };
            shell.running_calls().await.into_iter().map(|key| (key, EXECUTE.to_owned())).collect()
        })
    }
}

impl Inner {
    /// Sees to it that what a call may have changed in the workspace is noticed.
    fn look_after(&self, chat_id: ChatId, name: &str, answer: &ToolAnswer) {
        let process = answer.result.get("process_id").and_then(Value::as_str);
        if let (Some(id), Some("running")) = (process, answer.result.get("state").and_then(Value::as_str)) {
            self.surveys.runs_on(chat_id, id.to_owned());
        }
        if tool(name).is_some_and(|tool| tool.changes_files)
            && let Some(work) = self.surveys.noticed(chat_id)
        {
            tokio::spawn(work);
        }
    }

    /// Whether a chat has what a tool needs. A workspace stays when the template is gone that it was made from.
    fn has(&self, chat: &Chat, needs: Needs) -> bool {
        (self.spaces.has_templates() || bound_by(chat).is_some())
            && match needs {
                Needs::Templates | Needs::Workspace => true,
                Needs::Shell => self.spaces.shell().is_some(),
                Needs::Store => self.store.is_some(),
            }
    }

    async fn answer(&self, call: ToolInvocation, output: OutputSink) -> Result<ToolAnswer, ToolAnswer> {
        let (chat_id, key) = (call.key.chat_id, key_of(&call.key));
        let args = &call.args;
        Ok(match call.name.as_str() {
            "list_templates" => self.list_templates(arguments(args)?).await,
            "read_template" => {
                let TemplateArguments { template_id } = arguments(args)?;
                match self.spaces.template(&template_id).await {
                    Ok(template) => ToolAnswer::ok(json!(template)),
                    Err(problem) => ToolAnswer::error(problem.to_string()),
                }
            }
            "create_workspace" => {
                let CreateArguments { template_id, name, parameters } = arguments(args)?;
                let Some(template_id) = template_id else {
                    return self.create_own(&call, name, parameters).await;
                };
                let wish = Wish { template_id, name, parameters: parameters.unwrap_or_default() };
                let creation = self.creation(chat_id, key, call.reattach);
                creation.run(wish).await.map_or_else(ToolAnswer::error, answers::created)
            }
            "start_workspace" => {
                let NoArguments {} = arguments(args)?;
                let id = self.workspace_of(chat_id).await?;
                life::start(&self.spaces, &id).await.unwrap_or_else(|problem| ToolAnswer::error(problem.to_string()))
            }
            "stop_workspace" => {
                let NoArguments {} = arguments(args)?;
                let id = self.workspace_of(chat_id).await?;
                life::stop(&self.spaces, &id).await.unwrap_or_else(|problem| ToolAnswer::error(problem.to_string()))
            }
            "read_file" => {
                let arguments = arguments(args)?;
                file_tools::read(&*self.files_of(chat_id).await?, arguments).await
            }
            "write_file" => {
                let arguments = arguments(args)?;
                file_tools::write(&*self.files_of(chat_id).await?, key, arguments).await
            }
            "edit_files" => {
                let arguments = arguments(args)?;
                file_tools::edit(self.files_of(chat_id).await?, key, arguments).await
            }
            "read_skill" => {
                let arguments = arguments(args)?;
                skills::read(&*self.files_of(chat_id).await?, arguments).await
            }
            "read_skill_file" => {
                let arguments = arguments(args)?;
                skills::read_file(&*self.files_of(chat_id).await?, arguments).await
            }
            EXECUTE => self.execute(&call, arguments(args)?, output).await?,
            "process_output" => {
                let pause = &*self.spaces.pause;
                self.shell()?.output(chat_id, arguments(args)?, pause, output).await?
            }
            "process_list" => {
                let NoArguments {} = arguments(args)?;
                self.shell()?.list(chat_id).await?
            }
            "process_signal" => self.shell()?.signal(chat_id, arguments(args)?).await?,
            "attach_file" if self.store.is_some() => self.attach(chat_id, key, arguments(args)?).await?,
            name => ToolAnswer::error(format!("there is no tool named {name:?}")),
        })
    }

    fn shell(&self) -> Result<&Shell, ToolAnswer> {
        self.spaces.shell().ok_or_else(|| ToolAnswer::error("no commands can be run here"))
    }

    async fn execute(
        &self,
        call: &ToolInvocation,
        arguments: ExecuteArguments,
        output: OutputSink,
    ) -> Result<ToolAnswer, ToolAnswer> {
        let shell = self.shell()?;
        let arguments = arguments.settled();
        let id = self.workspace_of(call.key.chat_id).await?;
        let refused = |problem: ProvisionError| ToolAnswer::error(problem.to_string());
        let maker = self.spaces.maker_of(&id).map_err(refused)?;
        let plan = maker.command(&id, &arguments.command, arguments.workdir.as_deref()).await.map_err(refused)?;
        shell.execute(&call.key, plan, arguments, &*self.spaces.pause, output).await
    }

    async fn list_templates(&self, arguments: ListArguments) -> ToolAnswer {
        let found = self.spaces.templates(arguments.query.as_deref()).await;
        let page = arguments.page.unwrap_or(1).max(1);
        let total = found.len();
        let shown: Vec<Value> = found
            .into_iter()
            .skip((page - 1).saturating_mul(TEMPLATES_PER_PAGE))
            .take(TEMPLATES_PER_PAGE)
            .map(|one| json!({"template_id": one.id, "description": one.description, "provisioner": one.provisioner}))
            .collect();
        let pages = total.div_ceil(TEMPLATES_PER_PAGE);
        ToolAnswer::ok(json!({"templates": shown, "page": page, "pages": pages, "total": total}))
    }

    fn creation(&self, chat_id: ChatId, key: String, again: bool) -> Creation<'_> {
        Creation { spaces: &self.spaces, access: &*self.access, chat_id, key, again }
    }

    /// The id of a chat's workspace. One that the chat was made with and that nobody has built yet is built now.
    async fn workspace_of(&self, chat_id: ChatId) -> Result<String, ToolAnswer> {
        let none = || ToolAnswer::error("this chat has no workspace; create_workspace makes one");
        let look = self.access.look(chat_id).await.map_err(|error| ToolAnswer::error(error.to_string()))?;
        let chat = look.ok_or_else(none)?;
        let binding = bound_by(&chat).ok_or_else(none)?;
        if let Some(id) = &binding.id {
            return Ok(id.clone());
        }
        let wish = wish_of(binding).ok_or_else(none)?;
        // The binding is the wish: whoever comes first grants it, and may have begun before a crash.
        let creation = self.creation(chat_id, own_key_of(chat_id), true);
        let created = creation.run(wish).await.map_err(ToolAnswer::error)?;
        match created.view.status {
            WorkspaceStatus::Running => Ok(created.view.id),
            _ => Err(answers::created(created)),
        }
    }

    /// Makes the workspace that the chat was made with, where the call names no template.
    async fn create_own(
        &self,
        call: &ToolInvocation,
        name: Option<String>,
        parameters: Option<Map<String, Value>>,
    ) -> Result<ToolAnswer, ToolAnswer> {
        let none = || ToolAnswer::error("give a template_id; list_templates lists them");
        let chat_id = call.key.chat_id;
        let look = self.access.look(chat_id).await.map_err(|error| ToolAnswer::error(error.to_string()))?;
        let chat = look.ok_or_else(none)?;
        let binding = bound_by(&chat).ok_or_else(none)?;
        let bound = wish_of(binding);
        let created = match (&binding.id, name, parameters) {
            (None, None, None) => {
                let creation = self.creation(chat_id, own_key_of(chat_id), true);
                creation.run(bound.ok_or_else(none)?).await
            }
            // There is one, or the call wants it otherwise than the chat does.
            (id, name, parameters) => {
                let template_id = match (bound.as_ref(), id) {
                    (Some(bound), _) => bound.template_id.clone(),
                    (None, Some(_)) => String::new(),
                    (None, None) => return Err(none()),
                };
                let bound = bound.map(|wish| wish.parameters);
                let parameters = parameters.or(bound).unwrap_or_default();
                self.creation(chat_id, key_of(&call.key), call.reattach)
                    .run(Wish { template_id, name, parameters })
                    .await
            }
        };
        Ok(created.map_or_else(ToolAnswer::error, answers::created))
    }

    async fn files_of(&self, chat_id: ChatId) -> Result<Arc<dyn Files>, ToolAnswer> {
        let id = self.workspace_of(chat_id).await?;
        let refused = |problem: ProvisionError| ToolAnswer::error(problem.to_string());
        self.spaces.maker_of(&id).map_err(refused)?.files(&id).await.map_err(refused)
    }

    async fn attach(&self, chat_id: ChatId, key: String, wanted: AttachArguments) -> Result<ToolAnswer, ToolAnswer> {
        let AttachArguments { path, name } = wanted;
        let files = self.files_of(chat_id).await?;
        let refused = |problem: &dyn std::fmt::Display| ToolAnswer::error(problem.to_string());
        let name = name.unwrap_or_else(|| path.rsplit('/').next().unwrap_or(&path).to_owned());
        // First whether it is there: what is wrong with the name of no file helps nobody.
        let bytes = files.load(&path, ATTACHMENT_MAX_BYTES).await.map_err(|error| refused(&error))?;
        let media_type = media_type(&name).ok_or_else(|| {
            refused(&format!("{name}: only images, PDF, text, CSV, JSON and Markdown can be attached"))
        })?;
        let Some(store) = &self.store else { return Err(refused(&"no files are kept here")) };
        let size_bytes = bytes.len();
        let content = Some(FileContent { digest: Digest::of(&bytes), size_bytes: size_bytes as u64 });
        let file = NewFile { chat_id, key, name: name.clone(), media_type: media_type.to_owned(), bytes };
        let file_id = store.put(file).await.map_err(|error| refused(&error))?;
        let result = json!({"file_id": file_id, "name": name, "media_type": media_type, "size_bytes": size_bytes});
        let part = Part::File { file_id, media_type: media_type.to_owned(), name, content };
        Ok(ToolAnswer { result, attachments: vec![part], ..ToolAnswer::default() })
    }
}

/// What a chat was made to have; none where it was given a workspace that no template is known of.
fn wish_of(binding: &WorkspaceBinding) -> Option<Wish> {
    Some(Wish {
        template_id: binding.template_id.clone()?,
        name: binding.name.clone(),
        parameters: binding.parameters.as_ref().and_then(Value::as_object).cloned().unwrap_or_default(),
    })
}

/// The media type of a file that may be attached, by the end of its name.
fn media_type(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "csv" => "text/csv",
        "json" => "application/json",
        "md" | "markdown" => "text/markdown",
        "txt" | "log" => "text/plain",
        _ => return None,
    })
}
