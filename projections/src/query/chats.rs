//! Chats by id and in lists.

use verbatim_events::chat::{Outline, Status};
use verbatim_events::ids::ChatId;

use super::{Listing, cursor, cut, rows_to_fetch};
use crate::database::{Dialect, Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

/// Which chats a list shows. Erased chats are in no list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatFilter {
    /// Only this owner's.
    pub owner: Option<String>,
    /// Only those in which all these words stand, each in the title or in any visible message. In a title a word may be any
    /// part, in a message the last one may be a beginning.
    pub words: Option<String>,
    /// Only those in this status.
    pub status: Option<Status>,
    /// Only archived ones, or only others.
    pub archived: Option<bool>,
    /// Only those with all these labels.
    pub labels: Vec<(String, String)>,
    /// Where they stand in their families.
    pub parent: Parent,
}

/// Words of a search that count; the rest is ignored.
const WORDS_MAX: usize = 16;

/// Where chats stand in their families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parent {
    /// Anywhere.
    #[default]
    Any,
    /// At the root.
    Root,
    /// Children of this chat.
    ChildOf(ChatId),
    /// In the family with this root, the root itself included.
    InFamilyOf(ChatId),
}

impl ReadModels {
    /// A chat's outline, erased or not; `None` if there is no such chat.
    pub async fn chat(&self, chat_id: ChatId) -> Result<Option<Outline>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement =
                Statement::new("SELECT outline FROM chats WHERE chat_id = ?", vec![Value::Id(Some(chat_id.0))]);
            live.database.fetch(statement).await?.first().map(|row| row.json(0)).transpose()
        })
        .await
    }

    /// Chats, pinned ones first, then by newest activity. A chat that becomes active while a reader pages moves to the
    /// front and is not seen again; none is seen twice unless it fell back by being unpinned.
    pub async fn chats(
        &self,
        filter: ChatFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Listing<Outline>, ReadError> {
        let after: Option<[u64; 2]> = cursor.map(cursor::decode).transpose()?;
        let live = self.live();
        self.on_runtime(async move {
            let statement = list_statement(&filter, limit, after, live.database.dialect());
            let mut rows = live.database.fetch(statement).await?;
            let more = cut(&mut rows, limit);
            let next_cursor = match rows.last() {
                Some(last) if more => Some(cursor::encode([u64::from(last.boolean(1)?), last.unsigned(2)?])),
                _ => None,
            };
            let items = rows.iter().map(|row| row.json(0)).collect::<Result<_, _>>()?;
            Ok(Listing { items, next_cursor })
        })
        .await
    }
}

fn list_statement(filter: &ChatFilter, limit: usize, after: Option<[u64; 2]>, dialect: Dialect) -> Statement {
    let mut sql = "SELECT outline, pinned, position FROM chats WHERE NOT erased".to_owned();
    let mut values = Vec::new();
    let mut narrow = |condition: &str, bound: Vec<Value>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.extend(bound);
    };
    let ChatFilter { owner, words, status, archived, labels, parent } = filter;
    if let Some(owner) = owner {
        narrow("owner = ?", vec![Value::text(owner.as_str())]);
    }
    if let Some(status) = status {
        narrow("status = ?", vec![Value::text(status.name())]);
    }
    if let Some(archived) = archived {
        narrow("archived = ?", vec![Value::Boolean(*archived)]);
    }
    for (name, value) in labels {
        narrow(
            "EXISTS (SELECT 1 FROM labels WHERE labels.chat_id = chats.chat_id AND name = ? AND value = ?)",
            vec![Value::text(name.as_str()), Value::text(value.as_str())],
        );
    }
    match parent {
        Parent::Any => {}
        Parent::Root => narrow("parent IS NULL", Vec::new()),
        Parent::ChildOf(parent) => narrow("parent = ?", vec![Value::Id(Some(parent.0))]),
        Parent::InFamilyOf(root) => narrow("root = ?", vec![Value::Id(Some(root.0))]),
    }
    let words: Vec<&str> = words.as_deref().unwrap_or_default().split_whitespace().take(WORDS_MAX).collect();
    if !words.is_empty() {
        let (condition, bound) = words_condition(&words, dialect);
        narrow(&condition, bound);
    }
    if let Some([pinned, position]) = after {
        narrow("(pinned, position) < (?, ?)", vec![Value::Boolean(pinned != 0), Value::unsigned(position)]);
    }
    sql.push_str(" ORDER BY pinned DESC, position DESC LIMIT ?");
    values.push(Value::unsigned(rows_to_fetch(limit)));
    Statement::once(sql, values)
}

/// The condition that all `words` stand somewhere in a chat: each in its title, or in one of its visible messages. Of the
/// last one the beginning is enough. Words without a letter or a digit are in no index: they count where there is no other.
fn words_condition(words: &[&str], dialect: Dialect) -> (String, Vec<Value>) {
    let in_title = "title LIKE ? ESCAPE '\\'";
    let in_messages = match dialect {
        Dialect::Sqlite => {
            "chat_id IN (SELECT messages.chat_id FROM search JOIN messages ON messages.position = search.rowid
             WHERE search.words MATCH ? AND messages.withdrawn_by IS NULL)"
        }
        Dialect::Postgres => {
            "chat_id IN (SELECT messages.chat_id FROM search JOIN messages ON messages.position = search.position
             WHERE search.words @@ to_tsquery('simple', ?) AND messages.withdrawn_by IS NULL)"
        }
    };
    let last = words.iter().rposition(|word| word.contains(char::is_alphanumeric));
    let Some(last) = last else {
        let bound = words.iter().map(|word| Value::text(like_pattern(word))).collect();
        return (format!("({})", vec![in_title; words.len()].join(" AND ")), bound);
    };
    let (mut conditions, mut bound) = (Vec::new(), Vec::new());
    for (index, word) in words.iter().enumerate() {
        let is_again = words[..index].contains(word) && index != last;
        if let Some(query) = word_query(word, index == last, dialect).filter(|_| !is_again) {
            conditions.push(format!("({in_title} OR {in_messages})"));
            bound.extend([Value::text(like_pattern(word)), Value::text(query)]);
        }
    }
    (conditions.join(" AND "), bound)
}

/// The pattern of titles that hold `word` as it stands; titles are stored in lower case.
fn like_pattern(word: &str) -> String {
    let mut pattern = "%".to_owned();
    for character in word.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// A word of a search in the index's own language, quoted so that nothing in it is an operator; what stands between signs
/// are words of one message. `None` if it has neither a letter nor a digit.
fn word_query(word: &str, may_go_on: bool, dialect: Dialect) -> Option<String> {
    let parts = word.split(|character: char| !character.is_alphanumeric()).filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.take(WORDS_MAX).collect();
    let (last, others) = parts.split_last()?;
    // Of letters and digits alone, so nothing in a part needs escaping.
    Some(match dialect {
        Dialect::Sqlite => {
            let others: String = others.iter().map(|part| format!("\"{part}\" ")).collect();
            format!("{others}\"{last}\"{}", if may_go_on { "*" } else { "" })
        }
        Dialect::Postgres => {
            let others: String = others.iter().map(|part| format!("'{part}' & ")).collect();
            format!("{others}'{last}'{}", if may_go_on { ":*" } else { "" })
        }
    })
}
