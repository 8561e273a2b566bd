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
    /// Only those whose title or visible messages hold all these words; the last word may be a beginning.
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
    if let Some(words) = words.as_deref().map(str::trim).filter(|words| !words.is_empty()) {
        let in_title = Value::text(like_pattern(words));
        match words_query(words, dialect) {
            Some(query) => narrow(words_condition(dialect), vec![in_title, Value::text(query)]),
            None => narrow("title LIKE ? ESCAPE '\\'", vec![in_title]),
        }
    }
    if let Some([pinned, position]) = after {
        narrow("(pinned, position) < (?, ?)", vec![Value::Boolean(pinned != 0), Value::unsigned(position)]);
    }
    sql.push_str(" ORDER BY pinned DESC, position DESC LIMIT ?");
    values.push(Value::unsigned(rows_to_fetch(limit)));
    Statement::once(sql, values)
}

fn words_condition(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "(title LIKE ? ESCAPE '\\' OR chat_id IN (SELECT messages.chat_id FROM search
             JOIN messages ON messages.position = search.rowid
             WHERE search.words MATCH ? AND messages.withdrawn_by IS NULL))"
        }
        Dialect::Postgres => {
            "(title LIKE ? ESCAPE '\\' OR chat_id IN (SELECT messages.chat_id FROM search
             JOIN messages ON messages.position = search.position
             WHERE search.words @@ to_tsquery('simple', ?) AND messages.withdrawn_by IS NULL))"
        }
    }
}

/// The pattern of titles that hold `words` as they stand; titles are stored in lower case.
fn like_pattern(words: &str) -> String {
    let mut pattern = "%".to_owned();
    for character in words.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// All words of a search in the index's own language, quoted so that none is an operator; `None` if there is no word.
fn words_query(words: &str, dialect: Dialect) -> Option<String> {
    let words: Vec<_> =
        words.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let (last, others) = words.split_last()?;
    // Of letters and digits alone, so nothing in a word needs escaping.
    Some(match dialect {
        Dialect::Sqlite => {
            let others: String = others.iter().map(|word| format!("\"{word}\" ")).collect();
            format!("{others}\"{last}\"*")
        }
        Dialect::Postgres => {
            let others: String = others.iter().map(|word| format!("'{word}' & ")).collect();
            format!("{others}'{last}':*")
        }
    })
}
