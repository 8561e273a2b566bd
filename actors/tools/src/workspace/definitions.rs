//! The tools as the model sees them.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use verbatim_events::event::{EffectClass, ToolDefinition};

use crate::files::CHANGE_FILES_MAX;

/// What a group of tools needs to be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Templates.
    Templates,
    /// A workspace that the chat has.
    Workspace,
    /// A shell that may be used.
    Shell,
    /// A place where chats' files are kept.
    Store,
}

/// A tool: its name, what a crash in the middle means, what it needs.
pub(super) struct Tool {
    pub name: &'static str,
    pub effect_class: EffectClass,
    pub needs: Needs,
    /// A call of it may change what lies in the workspace.
    pub changes_files: bool,
    description: &'static str,
    parameters: fn() -> Value,
}

impl Tool {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            parameters: (self.parameters)(),
        }
    }
}

/// What the model sees of all of them, made once: a prompt is offered them by reference.
static DEFINITIONS: LazyLock<Vec<Arc<ToolDefinition>>> =
    LazyLock::new(|| TOOLS.iter().map(|tool| Arc::new(tool.definition())).collect());

/// All of them with what the model sees of them, in its order.
pub(super) fn defined() -> impl Iterator<Item = (&'static Tool, &'static Arc<ToolDefinition>)> {
    TOOLS.iter().zip(DEFINITIONS.iter())
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn nothing() -> Value {
    object(&[], json!({}))
}

fn path() -> Value {
    json!({"type": "string", "description": "Path in the workspace, relative to its root."})
}

fn skill() -> Value {
    json!({"type": "string", "description": "The skill's name, which is its directory's: make-tea."})
}

fn wait_ms() -> Value {
    let description = "How long to wait for the command to end, in ms. Default 10000, at most 14400000 (4 h).";
    json!({"type": "integer", "minimum": 0, "maximum": 14_400_000, "description": description})
}

fn process_id() -> Value {
    json!({"type": "string", "description": "The process_id that execute or process_list gave."})
}

/// All of them, in the order in which the model sees them.
pub(super) static TOOLS: [Tool; 15] = [
    Tool {
        name: "list_templates",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Templates,
        changes_files: false,
        description: "Lists the templates that workspaces can be made from, ten a page.",
        parameters: || {
            object(
                &[],
                json!({
                    "query": {"type": "string", "description": "Only templates whose name or description holds this."},
                    "page": {"type": "integer", "minimum": 1, "description": "Which page, from 1."},
                }),
            )
        },
    },
    Tool {
        name: "read_template",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Templates,
        changes_files: false,
        description: "Shows a template's description and its parameters with their types and defaults.",
        parameters: || object(&["template_id"], json!({"template_id": {"type": "string"}})),
    },
    Tool {
        name: "create_workspace",
        effect_class: EffectClass::Resumable,
        needs: Needs::Templates,
        changes_files: true,
        description: "Makes this chat's workspace from a template, and waits until it can be used. A chat has one workspace: if it \
            has one that works, that one is returned (created: false).",
        parameters: || {
            object(
                &[],
                json!({
                    "template_id": {
                        "type": "string",
                        "description": "From list_templates; left out, the template that this chat was made with.",
                    },
                    "name": {"type": "string", "description": "Letters, digits and single dashes; at most 32."},
                    "parameters": {"type": "object", "description": "By name, as read_template shows them."},
                }),
            )
        },
    },
    Tool {
        name: "start_workspace",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Templates,
        changes_files: true,
        description: "Starts this chat's workspace and waits until it can be used.",
        parameters: nothing,
    },
    Tool {
        name: "stop_workspace",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Templates,
        changes_files: false,
        description: "Stops this chat's workspace and everything that runs in it. Its files are kept.",
        parameters: nothing,
    },
    Tool {
        name: "read_file",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Templates,
        changes_files: false,
        description: "Reads a text file of the workspace, with line numbers, or lists a directory.",
        parameters: || {
            object(
                &["path"],
                json!({
                    "path": path(),
                    "offset": {"type": "integer", "minimum": 1, "description": "The first line, from 1."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 2000, "description": "Lines; default 2000."},
                }),
            )
        },
    },
    Tool {
        name: "write_file",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Templates,
        changes_files: true,
        description: "Writes a whole file of the workspace, and the directories it lies in.",
        parameters: || object(&["path", "content"], json!({"path": path(), "content": {"type": "string"}})),
    },
    Tool {
        name: "edit_files",
        // Each change is known by its call, and is made once however often it is asked for.
        effect_class: EffectClass::Idempotent,
        needs: Needs::Templates,
        changes_files: true,
        description: "Replaces exact text in files of the workspace. All edits are made, or none. Edits of the same file are made \
            one after the other.",
        parameters: || {
            let edit = object(
                &["path", "old_text", "new_text"],
                json!({
                    "path": path(),
                    "old_text": {"type": "string", "description": "Exactly what stands there, once in the file."},
                    "new_text": {"type": "string"},
                    "replace_all": {"type": "boolean", "description": "Replaces every occurrence."},
                }),
            );
            let edits = json!({"type": "array", "items": edit, "minItems": 1, "maxItems": CHANGE_FILES_MAX});
            object(&["edits"], json!({"edits": edits}))
        },
    },
    Tool {
        name: "read_skill",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Workspace,
        changes_files: false,
        description: "Reads a skill of the workspace: a way of working that is written down in .agents/skills/NAME/SKILL.md. \
            Do so before the work that it is about; it names the files that belong to it.",
        parameters: || object(&["name"], json!({"name": skill()})),
    },
    Tool {
        name: "read_skill_file",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Workspace,
        changes_files: false,
        description: "Reads a file that belongs to a skill of the workspace.",
        parameters: || {
            let path =
                json!({"type": "string", "description": "Path in the skill's directory, as read_skill named it."});
            object(&["name", "path"], json!({"name": skill(), "path": path}))
        },
    },
    Tool {
        name: "execute",
        effect_class: EffectClass::Resumable,
        needs: Needs::Shell,
        changes_files: true,
        description: "Runs a command line with sh -c in the workspace. It waits for the end; a command that takes longer runs on, \
            and its process_id is returned with the output so far.",
        parameters: || {
            object(
                &["command"],
                json!({
                    "command": {"type": "string"},
                    "wait_ms": wait_ms(),
                    "background": {"type": "boolean", "description": "Returns at once; the command runs on."},
                    "workdir": {"type": "string", "description": "Directory in the workspace; default its root."},
                }),
            )
        },
    },
    Tool {
        name: "process_output",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Shell,
        changes_files: true,
        description: "Shows a process's state and output, after waiting for its end.",
        parameters: || object(&["process_id"], json!({"process_id": process_id(), "wait_ms": wait_ms()})),
    },
    Tool {
        name: "process_list",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Shell,
        changes_files: false,
        description: "Lists this chat's processes.",
        parameters: nothing,
    },
    Tool {
        name: "process_signal",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Shell,
        changes_files: true,
        description: "Ends a process and all it started: terminate asks it to end, kill ends it.",
        parameters: || {
            let signal = json!({"type": "string", "enum": ["terminate", "kill"]});
            object(&["process_id", "signal"], json!({"process_id": process_id(), "signal": signal}))
        },
    },
    Tool {
        name: "attach_file",
        effect_class: EffectClass::Idempotent,
        needs: Needs::Store,
        changes_files: false,
        description: "Attaches a file of the workspace to the chat, so that the user can see it.",
        parameters: || object(&["path"], json!({"path": path(), "name": {"type": "string"}})),
    },
];

/// The tool of this name.
pub(super) fn tool(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}
