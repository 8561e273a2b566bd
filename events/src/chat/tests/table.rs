//! The table of states and commands, cell by cell: what happens, and where it leads.

use std::collections::BTreeMap;

use serde_json::json;

use super::support::*;
use crate::chat::StateName;
use crate::command::{Busy, Command, Step, SubmittedResult};
use crate::event::{
    AbandonCause, ApprovalDecision, AttemptAction, CapacityScope, ChildKind, EffectClass, SettingsChanged, TitleChange,
    TitleSource,
};
use crate::ids::ChatId;
use crate::part::Part;
use crate::rejection::Rejection;

/// Rows are commands, columns are states. A cell is `events:state`, the events by their key in the legend. `.` is the
/// refusal that the state itself demands: no such chat, archived, or not allowed. `?` is "no such message waits". `=` is
/// "it is so already": no events, the same state. `!` is "the chat exists".
const TABLE: &str = "
command                |N     |W     |E0     |E1     |R0    |R1    |I0    |I1    |A0    |A1    |XW    |XE0    |XE1
CreateChat             |new:W |!     |!      |!      |!     |!     |!     |!     |!     |!     |!     |!      |!
CreateChat(content)    |say:R0|!     |!      |!      |!     |!     |!     |!     |!     |!     |!     |!      |!
SendMessage(queue)     |.     |in:R0 |in:R0  |t:R1   |q:R1  |q:R1  |q:I1  |q:I1  |q:A1  |q:A1  |.     |.      |.
SendMessage(interrupt) |.     |in:R0 |in:R0  |t:R1   |qi:I1 |qi:I1 |q:I1  |q:I1  |st:R0 |st:R1 |.     |.      |.
SendMessage(steer)     |.     |in:R0 |in:R0  |t:R1   |q:R1  |q:R1  |q:I1  |q:I1  |q:A1  |q:A1  |.     |.      |.
SendMessage(reject)    |.     |in:R0 |in:R0  |.      |.     |.     |.     |.     |.     |.     |.     |.      |.
EditMessage            |.     |e:R0  |e:R0   |de:R0  |fe:R0 |dfe:R0|fe:R0 |dfe:R0|afe:R0|ade:R0|.     |.      |.
RequestCompaction      |.     |co:R0 |co:R0  |co:R1  |.     |.     |.     |.     |.     |.     |.     |.      |.
ClearContext           |.     |cl:W  |cl:W   |.      |.     |.     |.     |.     |.     |.     |.     |.      |.
DeleteQueued           |.     |?     |?      |d:E0   |?     |d:R0  |?     |d:I0  |?     |d:A0  |.     |.      |.
PromoteQueued          |.     |?     |?      |pro:R0 |?     |ip:I1 |?     |=     |?     |ap:R0 |.     |.      |.
Interrupt              |.     |.     |.      |.      |iu:I0 |iu:I1 |.     |.     |ha:W  |nx:R0 |.     |.      |.
SubmitToolResults      |.     |.     |.      |.      |.     |.     |.     |.     |sub:R0|sub:R1|.     |.      |.
DecideApprovals        |.     |.     |.      |.      |.     |.     |.     |.     |dec:R0|dec:R1|.     |.      |.
ExpireAction           |.     |.     |.      |.      |.     |.     |.     |.     |exp:R0|exp:R1|.     |.      |.
Archive                |.     |arc:XW|arc:XE0|arc:XE1|.     |.     |.     |.     |.     |.     |=     |=      |=
Unarchive              |.     |=     |=      |=      |=     |=     |=     |=     |=     |=     |una:W |una:E0 |una:E1
AwaitCapacity          |.     |.     |.      |.      |cap:R0|cap:R1|.     |.     |.     |.     |.     |.      |.
RecordAttempt          |.     |.     |.      |.      |att:R0|att:R1|.     |.     |.     |.     |.     |.      |.
StartToolCall          |.     |.     |.      |.      |run:R0|run:R1|.     |.     |.     |.     |.     |.      |.
FinishToolCall         |.     |.     |.      |.      |ran:R0|ran:R1|ran:I0|ran:I1|.     |.     |.     |.      |.
ScheduleRetry          |.     |.     |.      |.      |ret:R0|ret:R1|.     |.     |.     |.     |.     |.      |.
AbandonAttempt         |.     |.     |.      |.      |aba:R0|aba:R1|.     |.     |.     |.     |.     |.      |.
CommitStep             |.     |.     |.      |.      |ans:R0|ans:R1|.     |.     |.     |.     |.     |.      |.
CommitStep(steered)    |.     |.     |.      |.      |ans:R0|s:R0  |.     |.     |.     |.     |.     |.      |.
RequireAction          |.     |.     |.      |.      |req:A0|req:A1|.     |.     |.     |.     |.     |.      |.
FinishTurn             |.     |.     |.      |.      |end:W |on:R0 |.     |.     |.     |.     |.     |.      |.
FailTurn               |.     |.     |.      |.      |bad:E0|bad:E1|.     |.     |.     |.     |.     |.      |.
FinishInterruption     |.     |.     |.      |.      |.     |.     |fin:W |fo:R0 |.     |.     |.     |.      |.
ChangeSettings         |.     |set:W |set:E0 |set:E1 |set:R0|set:R1|set:I0|set:I1|set:A0|set:A1|set:XW|set:XE0|set:XE1
Retitle                |.     |set:W |set:E0 |set:E1 |set:R0|set:R1|set:I0|set:I1|set:A0|set:A1|set:XW|set:XE0|set:XE1
ChangeSettings(archive)|.     |arc:XW|arc:XE0|arc:XE1|.     |.     |.     |.     |.     |.     |=     |=      |=
Erase                  |.     |era:W |era:W  |era:W  |fx:W  |fx:W  |fx:W  |fx:W  |ax:W  |ax:W  |era:XW|era:XW |era:XW
RecordUsage            |.     |use:W |use:E0 |use:E1 |use:R0|use:R1|use:I0|use:I1|use:A0|use:A1|use:XW|use:XE0|use:XE1
RecordChild            |.     |kid:W |kid:E0 |kid:E1 |kid:R0|kid:R1|kid:I0|kid:I1|kid:A0|kid:A1|.     |.      |.
";

/// The same for the commands that depend on how many messages wait, with two of them. The named one is the second.
const TWO_WAIT: &str = "
command               |E1    |R1    |I1    |A1
DeleteQueued          |d:E1  |d:R1  |d:I1  |d:A1
PromoteQueued         |pro:R1|hi:I1 |h:I1  |ap:R1
Interrupt             |.     |iu:I1 |.     |nx:R1
SendMessage(interrupt)|t:R1  |qi:I1 |q:I1  |st:R1
EditMessage           |dd:R0 |ddf:R0|ddf:R0|adde:R0
RequestCompaction     |co:R1 |.     |.     |.
FinishTurn            |.     |on:R1 |.     |.
FinishInterruption    |.     |.     |fo:R1 |.
CommitStep(steered)   |.     |ss:R0 |.     |.
";

/// Keys of the tables' cells. `<key>` stands for another key's events.
const LEGEND: &str = "
new  = ChatCreated
say  = ChatCreated <in>
in   = TurnStarted(message) MessageCommitted(user)
q    = MessageQueued
t    = MessageQueued <pro>
qi   = MessageQueued InterruptRequested(message)
st   = MessageQueued <ha> <pro>
e    = MessagesWithdrawn TurnStarted(edit) MessageCommitted(user)
de   = <d> <e>
fe   = TurnFinished(interrupted) <e>
dfe  = <d> TurnFinished(interrupted) <e>
afe  = ActionResolved(superseded) TurnFinished(interrupted) <e>
ade  = ActionResolved(superseded) <d> TurnFinished(interrupted) <e>
dd   = <d> <d> <e>
ddf  = <d> <d> TurnFinished(interrupted) <e>
adde = ActionResolved(superseded) <d> <d> TurnFinished(interrupted) <e>
co   = TurnStarted(compaction) CompactionRequested
cl   = ContextCleared
d    = QueuedMessageDeleted
pro  = QueuedMessagePromoted(history) TurnStarted(promotion) MessageCommitted(user)
ip   = InterruptRequested(promotion)
hi   = QueuedMessagePromoted(head) InterruptRequested(promotion)
h    = QueuedMessagePromoted(head)
ap   = ActionResolved(superseded) MessageCommitted(synthetic) TurnFinished(interrupted) <pro>
iu   = InterruptRequested(user)
ha   = ActionResolved(cancelled) MessageCommitted(synthetic) TurnFinished(interrupted)
nx   = <ha> <pro>
sub  = ActionResolved(submitted) MessageCommitted(tool)
dec  = ApprovalsDecided ActionResolved(submitted)
exp  = ActionResolved(expired) MessageCommitted(synthetic)
arc  = ChatArchived
una  = ChatUnarchived
cap  = CapacityAwaited
att  = AttemptRecorded
run  = ToolCallStarted
ran  = ToolCallFinished
ret  = RetryScheduled
aba  = AttemptAbandoned
ans  = MessageCommitted(assistant)
s    = <ans> QueuedMessagePromoted(history) MessageCommitted(user)
ss   = <s> QueuedMessagePromoted(history) MessageCommitted(user)
req  = ActionRequired
end  = TurnFinished(complete)
on   = TurnFinished(complete) <pro>
bad  = TurnFinished(failed)
fin  = TurnFinished(interrupted)
fo   = TurnFinished(interrupted) <pro>
set  = SettingsChanged
era  = ChatErased
fx   = TurnFinished(interrupted) ChatErased
ax   = ActionResolved(cancelled) TurnFinished(interrupted) ChatErased
kid  = ChildSpawned
use  = UsageRecorded
";

/// What must be under way in a busy chat for a command to mean anything.
#[derive(Clone, Copy, PartialEq)]
enum Underway {
    Nothing,
    Generation,
    ToolBatch,
    ClientCall,
    ApprovalCall,
}

fn underway(command: &str) -> Underway {
    match command {
        "StartToolCall" | "FinishToolCall" => Underway::ToolBatch,
        "ScheduleRetry" | "AbandonAttempt" | "CommitStep" | "CommitStep(steered)" => Underway::Generation,
        "RequireAction" => Underway::ClientCall,
        "DecideApprovals" => Underway::ApprovalCall,
        _ => Underway::Nothing,
    }
}

/// A chat in a state, reached by commands alone, with `waiting` messages in its queue where the state has one.
fn reach(state: StateName, command: &str, waiting: usize) -> Story {
    let underway = underway(command);
    let mut story = match state {
        StateName::N => return Story::new(),
        _ => Story::answered(),
    };
    if !matches!(state, StateName::W | StateName::XW) {
        story.send("And a functor?", Busy::Queue);
    }
    match (state, underway) {
        (StateName::A0 | StateName::A1, Underway::ApprovalCall) => {
            story.call(&[("c1", ASK_TOOL)]);
            story.must(Command::RequireAction);
        }
        (StateName::A0 | StateName::A1, _) => {
            story.call(&[("c1", CLIENT_TOOL)]);
            story.must(Command::RequireAction);
        }
        (StateName::R0 | StateName::R1, Underway::Generation) => {
            story.attempt(AttemptAction::Generate);
        }
        (StateName::R0 | StateName::R1, Underway::ClientCall) => {
            story.call(&[("c1", CLIENT_TOOL)]);
        }
        (StateName::R0 | StateName::R1 | StateName::I0 | StateName::I1, Underway::ToolBatch) => {
            story.call(&[("c1", SERVER_TOOL)]);
            let attempt_id = story.attempt(AttemptAction::RunTools);
            if command == "FinishToolCall" {
                story.must(start_tool_call(attempt_id));
            }
        }
        _ => {}
    }
    if matches!(state, StateName::E1 | StateName::R1 | StateName::I1 | StateName::A1 | StateName::XE1) {
        let busy = if command == "CommitStep(steered)" { Busy::Steer } else { Busy::Queue };
        for index in 0..waiting {
            story.send(&format!("waiting {index}"), busy);
        }
    }
    match state {
        StateName::E0 | StateName::E1 | StateName::XE0 | StateName::XE1 => {
            story.fail();
        }
        StateName::I0 | StateName::I1 => {
            story.must(Command::Interrupt);
        }
        _ => {}
    }
    if matches!(state, StateName::XW | StateName::XE0 | StateName::XE1) {
        story.must(Command::Archive);
    }
    assert_eq!(story.state(), state, "the fixture of {state:?} for {command}");
    story
}

fn start_tool_call(attempt_id: u64) -> Command {
    Command::StartToolCall {
        attempt_id,
        call_id: "c1".to_owned(),
        name: SERVER_TOOL.to_owned(),
        effect_class: EffectClass::AtMostOnce,
    }
}

/// The row's command for the chat as it is.
fn command(name: &str, story: &Story) -> Command {
    let attempt_id = story.open_attempt();
    let queued_id = story.chat.as_ref().and_then(|chat| chat.outline.queue.last()).copied().unwrap_or(888_888);
    match name {
        "CreateChat" => Command::CreateChat(Box::new(creation(""))),
        "CreateChat(content)" => Command::CreateChat(Box::new(creation("Hello"))),
        "SendMessage(queue)" => send("Next", Busy::Queue),
        "SendMessage(interrupt)" => send("Next", Busy::Interrupt),
        "SendMessage(steer)" => send("Next", Busy::Steer),
        "SendMessage(reject)" => send("Next", Busy::Reject),
        "EditMessage" => {
            let first = story.chat.as_ref().map_or(3, |_| story.message_id("What is a monad?"));
            edit(first, "What is a comonad?")
        }
        "RequestCompaction" => Command::RequestCompaction,
        "ClearContext" => Command::ClearContext,
        "DeleteQueued" => Command::DeleteQueued { queued_id },
        "PromoteQueued" => Command::PromoteQueued { queued_id },
        "Interrupt" => Command::Interrupt,
        "SubmitToolResults" => {
            let result = SubmittedResult { call_id: "c1".to_owned(), result: Some(json!(1)), is_error: false };
            Command::SubmitToolResults { results: vec![result] }
        }
        "DecideApprovals" => {
            let decision = ApprovalDecision { call_id: "c1".to_owned(), approved: true, reason: None };
            Command::DecideApprovals { decisions: vec![decision], by: "ada".to_owned() }
        }
        "ExpireAction" => Command::ExpireAction,
        "Archive" => Command::Archive,
        "Unarchive" => Command::Unarchive,
        "AwaitCapacity" => Command::AwaitCapacity { scope: CapacityScope::Root },
        "RecordAttempt" => record(AttemptAction::Generate),
        "StartToolCall" => start_tool_call(attempt_id),
        "FinishToolCall" => Command::FinishToolCall {
            attempt_id,
            call_id: "c1".to_owned(),
            name: SERVER_TOOL.to_owned(),
            result: json!("done"),
            is_error: false,
            attachments: vec![],
            duration_ms: 12,
        },
        "ScheduleRetry" => Command::ScheduleRetry {
            attempt_id,
            error: overloaded(),
            delay_ms: 2000,
            partial: Vec::new(),
            files_refused: false,
        },
        "AbandonAttempt" => Command::AbandonAttempt { attempt_id, cause: AbandonCause::Crash, partial: Vec::new() },
        "CommitStep" | "CommitStep(steered)" => {
            Command::CommitStep { attempt_id, step: generated(vec![Part::text("So.")], 10) }
        }
        "RequireAction" => Command::RequireAction,
        "FinishTurn" => finish(),
        "FailTurn" => fail(),
        "FinishInterruption" => Command::FinishInterruption { partial: Vec::new() },
        "ChangeSettings" => {
            let title = TitleChange { title: "Monads".to_owned(), source: TitleSource::User };
            let patch = SettingsChanged { title: Some(title), ..SettingsChanged::default() };
            Command::ChangeSettings { patch, archived: None }
        }
        "ChangeSettings(archive)" => {
            Command::ChangeSettings { patch: SettingsChanged::default(), archived: Some(true) }
        }
        "Retitle" => Command::Retitle { title: "Monads".to_owned() },
        "Erase" => Command::Erase { by: "ada".to_owned(), reason: None },
        "RecordUsage" => record_usage(),
        "RecordChild" => Command::RecordChild { child: ChatId(uuid::Uuid::from_u128(8)), kind: ChildKind::Agent },
        _ => panic!("the table has an unknown command {name}"),
    }
}

/// The refusal that a state itself demands.
fn expected_refusal(story: &Story, command: &Command) -> Rejection {
    match &story.chat {
        None => Rejection::ChatNotFound,
        Some(chat) if chat.outline.archived => Rejection::Archived,
        Some(chat) => Rejection::NotAllowed { command: command.name(), state: chat.outline.status.name() },
    }
}

/// What happened, in the table's own words.
fn actual_cell(story: &mut Story, command: Command, legend: &BTreeMap<String, String>) -> String {
    let before = story.state();
    let refusal = expected_refusal(story, &command);
    match story.run(command) {
        Err(rejection) if rejection == refusal => ".".to_owned(),
        Err(Rejection::QueuedMessageNotFound { .. }) => "?".to_owned(),
        Err(Rejection::ChatExists) => "!".to_owned(),
        Err(rejection) => format!("refused: {rejection}"),
        Ok(events) if events.is_empty() && story.state() == before => "=".to_owned(),
        Ok(events) => {
            let events = shown(&events);
            let key = legend.iter().find(|(_, meaning)| **meaning == events).map(|(key, _)| key);
            format!("{}:{:?}", key.unwrap_or(&events), story.state())
        }
    }
}

/// The events of each key, all written out.
fn legend() -> BTreeMap<String, String> {
    let lines = LEGEND.trim().lines().map(|line| line.split_once('=').expect("a legend line is `key = events`"));
    let mut legend: BTreeMap<String, String> =
        lines.map(|(key, events)| (key.trim().to_owned(), events.trim().to_owned())).collect();
    while legend.values().any(|events| events.contains('<')) {
        let known = legend.clone();
        for events in legend.values_mut() {
            for (key, meaning) in &known {
                *events = events.replace(&format!("<{key}>"), meaning);
            }
        }
    }
    legend
}

fn check(table: &str, waiting: usize) -> usize {
    let legend = legend();
    let mut lines = table.trim().lines();
    let states: Vec<StateName> = lines
        .next()
        .expect("the table has a head")
        .split('|')
        .skip(1)
        .map(|name| StateName::ALL.into_iter().find(|state| format!("{state:?}") == name.trim()).expect("a state"))
        .collect();
    let mut cells = 0;
    let mut wrong = Vec::new();
    for line in lines {
        let mut row = line.split('|').map(str::trim);
        let name = row.next().expect("a row begins with its command");
        let expected: Vec<&str> = row.collect();
        assert_eq!(expected.len(), states.len(), "the row of {name} has a cell for each state");
        for (state, expected) in states.iter().zip(expected) {
            let mut story = reach(*state, name, waiting);
            if name == "ExpireAction" {
                story.pass_ms(25 * 60 * 60 * 1000);
            }
            let command = command(name, &story);
            let actual = actual_cell(&mut story, command, &legend);
            if actual != expected {
                wrong.push(format!("{name} in {state:?}: {actual}, not {expected}"));
            }
            cells += 1;
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    cells
}

#[test]
fn every_command_in_every_state_does_what_the_table_says() {
    assert_eq!(check(TABLE, 1), 35 * 13);
}

#[test]
fn the_queue_stays_filled_where_two_messages_wait() {
    assert_eq!(check(TWO_WAIT, 2), 9 * 4);
}

#[test]
fn the_table_names_every_command() {
    let story = Story::new();
    let rows: std::collections::BTreeSet<&str> = TABLE
        .trim()
        .lines()
        .skip(1)
        .map(|line| command(line.split('|').next().unwrap_or("").trim(), &story).name())
        .collect();
    assert_eq!(rows.len(), 29, "{rows:?}");
}

#[test]
fn an_erased_chat_refuses_every_command() {
    for line in TABLE.trim().lines().skip(1) {
        let name = line.split('|').next().expect("a row begins with its command").trim();
        let mut story = reach(StateName::W, name, 1);
        let command = command(name, &story);
        story.must(Command::Erase { by: "ada".to_owned(), reason: Some("asked for".to_owned()) });
        assert_eq!(story.refused(command), Rejection::Erased, "{name}");
    }
}

#[test]
fn a_step_of_the_wrong_kind_is_refused() {
    let mut story = reach(StateName::R0, "CommitStep", 0);
    let attempt_id = story.open_attempt();
    let step = Step::ToolResults { results: vec![result("c1", SERVER_TOOL)] };
    assert!(matches!(story.refused(Command::CommitStep { attempt_id, step }), Rejection::StepMismatch { .. }));
}
