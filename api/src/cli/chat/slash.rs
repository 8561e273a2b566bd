//! Lines that begin with a slash: commands to this program, not words to the model. Pure.

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slash {
    Help,
    New,
    Chats,
    /// By its id, or by its number in the last list.
    Chat(String),
    Model(Option<String>),
    Title(Option<String>),
    Status,
    Queue,
    Promote(Option<u64>),
    Drop(Option<u64>),
    Steer(String),
    Edit(Option<String>),
    Compact,
    Clear,
    Archive,
    Unarchive,
    Stop,
    Quit,
}

/// One command: its name, what follows it, and what it does.
struct Entry {
    name: &'static str,
    takes: Takes,
    does: &'static str,
    make: fn(Argument) -> Slash,
}

/// What follows a command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Needs(&'static str),
    May(&'static str),
    /// A number.
    MayNumber,
}

/// What followed it.
#[derive(Debug, Default)]
struct Argument {
    text: Option<String>,
    number: Option<u64>,
}

const COMMANDS: &[Entry] = &[
    Entry { name: "help", takes: Takes::Nothing, does: "this list", make: |_| Slash::Help },
    Entry { name: "new", takes: Takes::Nothing, does: "begin another chat", make: |_| Slash::New },
    Entry { name: "chats", takes: Takes::Nothing, does: "the last chats", make: |_| Slash::Chats },
    Entry {
        name: "chat",
        takes: Takes::Needs("ID"),
        does: "go to a chat, by id or number in the list",
        make: |argument| Slash::Chat(argument.text.unwrap_or_default()),
    },
    Entry { name: "status", takes: Takes::Nothing, does: "what this chat is and does", make: |_| Slash::Status },
    Entry {
        name: "model",
        takes: Takes::May("NAME"),
        does: "list the models, or take one",
        make: |argument| Slash::Model(argument.text),
    },
    Entry {
        name: "title",
        takes: Takes::May("TEXT"),
        does: "say the chat's title, or give it another",
        make: |argument| Slash::Title(argument.text),
    },
    Entry {
        name: "steer",
        takes: Takes::Needs("TEXT"),
        does: "tell the running turn something at its next step",
        make: |argument| Slash::Steer(argument.text.unwrap_or_default()),
    },
    Entry { name: "queue", takes: Takes::Nothing, does: "the messages that wait", make: |_| Slash::Queue },
    Entry {
        name: "promote",
        takes: Takes::MayNumber,
        does: "stop the answer and send a waiting message (or the last)",
        make: |argument| Slash::Promote(argument.number),
    },
    Entry {
        name: "drop",
        takes: Takes::MayNumber,
        does: "take a waiting message (or the last) back",
        make: |argument| Slash::Drop(argument.number),
    },
    Entry {
        name: "edit",
        takes: Takes::May("TEXT"),
        does: "say the last message anew; what followed is withdrawn",
        make: |argument| Slash::Edit(argument.text),
    },
    Entry { name: "stop", takes: Takes::Nothing, does: "stop the answer, as Ctrl-C does", make: |_| Slash::Stop },
    Entry {
        name: "compact",
        takes: Takes::Nothing,
        does: "let the model summarise what was said",
        make: |_| Slash::Compact,
    },
    Entry { name: "clear", takes: Takes::Nothing, does: "let the model forget what was said", make: |_| Slash::Clear },
    Entry { name: "archive", takes: Takes::Nothing, does: "put this chat away", make: |_| Slash::Archive },
    Entry { name: "unarchive", takes: Takes::Nothing, does: "take it out again", make: |_| Slash::Unarchive },
    Entry {
        name: "quit",
        takes: Takes::Nothing,
        does: "leave; so do Ctrl-D and a second Ctrl-C",
        make: |_| Slash::Quit,
    },
];

const EXIT: &str = "exit";

/// Reads a line. `None`: it is no command but a message. Two slashes at its beginning are one and no command.
pub(super) fn read(line: &str) -> Option<Result<Slash, String>> {
    let rest = line.strip_prefix('/')?;
    if rest.starts_with('/') {
        return None;
    }
    let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some(command(name, argument.trim()))
}

/// The message that a line is.
pub(super) fn message(line: &str) -> &str {
    line.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(line)
}

fn command(name: &str, argument: &str) -> Result<Slash, String> {
    let name = if name == EXIT { "quit" } else { name };
    let Some(entry) = COMMANDS.iter().find(|entry| entry.name == name) else {
        return Err(unknown(name));
    };
    let text = (!argument.is_empty()).then(|| argument.to_owned());
    let number = text.as_deref().map(|text| text.trim_start_matches('#').parse::<u64>());
    match (entry.takes, &text) {
        (Takes::Nothing, Some(_)) => Err(format!("/{name} takes nothing after it")),
        (Takes::Needs(what), None) => Err(format!("/{name} needs more: /{name} {what}")),
        (Takes::MayNumber, _) => match number.transpose() {
            Ok(number) => Ok((entry.make)(Argument { text: None, number })),
            Err(_) => Err(format!("/{name} takes the number of a waiting message; /queue shows them")),
        },
        (Takes::Nothing | Takes::Needs(_) | Takes::May(_), _) => Ok((entry.make)(Argument { text, number: None })),
    }
}

fn unknown(name: &str) -> String {
    let near = COMMANDS.iter().filter(|entry| !name.is_empty() && entry.name.starts_with(&name[..first(name)]));
    let near: Vec<String> = near.map(|entry| format!("/{}", entry.name)).collect();
    let hint =
        if near.is_empty() { "/help lists all".to_owned() } else { format!("{}? /help lists all", near.join(", ")) };
    format!("there is no command /{name}; {hint}. A message may begin with a slash if that is doubled")
}

fn first(name: &str) -> usize {
    name.chars().next().map_or(0, char::len_utf8)
}

/// What a begun command may become: its only completion, or what all of them begin with.
pub(super) fn completed(line: &str) -> Option<String> {
    let begun = line.strip_prefix('/').filter(|name| !name.contains(char::is_whitespace))?;
    let names: Vec<&Entry> = COMMANDS.iter().filter(|entry| entry.name.starts_with(begun)).collect();
    match names.as_slice() {
        [] => None,
        [entry] if entry.takes == Takes::Nothing => Some(format!("/{}", entry.name)),
        [entry] => Some(format!("/{} ", entry.name)),
        [first, others @ ..] => {
            let common = others.iter().fold(first.name.len(), |common, entry| {
                first.name.bytes().zip(entry.name.bytes()).take(common).take_while(|(a, b)| a == b).count()
            });
            Some(format!("/{}", &first.name[..common]))
        }
    }
}

/// The list of commands, a line each.
pub(super) fn help() -> Vec<String> {
    let usage = |entry: &Entry| match entry.takes {
        Takes::Nothing => format!("/{}", entry.name),
        Takes::Needs(what) => format!("/{} {what}", entry.name),
        Takes::May(what) => format!("/{} [{what}]", entry.name),
        Takes::MayNumber => format!("/{} [NUMBER]", entry.name),
    };
    let usages: Vec<(String, &str)> = COMMANDS.iter().map(|entry| (usage(entry), entry.does)).collect();
    let width = usages.iter().map(|(usage, _)| usage.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = usages.into_iter().map(|(usage, does)| format!("  {usage:width$}  {does}")).collect();
    lines.push("  Enter sends, Alt-Enter begins a line, the arrows go back, Tab completes a command.".to_owned());
    lines.push("  What is sent during an answer waits for its end. Ctrl-C stops the answer, twice leaves.".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages_or_commands() {
        assert_eq!(read("hello /help"), None);
        assert_eq!(read("//etc/hosts says"), None);
        assert_eq!(message("//etc/hosts says"), "/etc/hosts says");
        assert_eq!(message("/x"), "/x");
        assert_eq!(read("/help"), Some(Ok(Slash::Help)));
        assert_eq!(read("/exit"), Some(Ok(Slash::Quit)));
        assert_eq!(read("/model"), Some(Ok(Slash::Model(None))));
        assert_eq!(read("/model  a/b "), Some(Ok(Slash::Model(Some("a/b".to_owned())))));
        assert_eq!(read("/steer go\nleft"), Some(Ok(Slash::Steer("go\nleft".to_owned()))));
        assert_eq!(read("/drop #12"), Some(Ok(Slash::Drop(Some(12)))));
        assert_eq!(read("/promote"), Some(Ok(Slash::Promote(None))));
    }

    #[test]
    fn mistakes_are_explained() {
        let wrong = |line| read(line).unwrap().unwrap_err();
        assert_eq!(wrong("/quit now"), "/quit takes nothing after it");
        assert_eq!(wrong("/steer"), "/steer needs more: /steer TEXT");
        assert!(wrong("/drop it").contains("/queue"));
        assert!(wrong("/mode").contains("/model?"), "{}", wrong("/mode"));
        assert!(wrong("/zzz").contains("/help lists all"));
        assert!(wrong("/").contains("/help lists all"));
        assert!(wrong("/ä").contains("/help lists all"));
    }

    #[test]
    fn begun_commands_are_completed() {
        assert_eq!(completed("/he").as_deref(), Some("/help"));
        assert_eq!(completed("/st").as_deref(), Some("/st"));
        assert_eq!(completed("/ste").as_deref(), Some("/steer "));
        assert_eq!(completed("/ch").as_deref(), Some("/chat"));
        assert_eq!(completed("/x"), None);
        assert_eq!(completed("/model a"), None);
        assert_eq!(completed("text"), None);
    }

    #[test]
    fn the_help_names_every_command() {
        let help = help().join("\n");
        assert!(COMMANDS.iter().all(|entry| help.contains(&format!("/{}", entry.name)) && help.contains(entry.does)));
    }
}
