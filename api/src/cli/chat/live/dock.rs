//! The rows at the bottom of the screen that change: what is not complete, what waits, what happens, and the line being
//! typed. Everything above them is written once. Pure.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::cli::chat::phrases;
use crate::cli::chat::show::Waiting;
use crate::cli::chat::text::{Face, Row, width};
use crate::cli::output::{harmless, shortened};

/// Waiting messages that are shown.
const WAITING_ROWS: usize = 5;

/// Pictures of something that is under way.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// How long each of them is shown, in ms.
const SPINNER_MS: u64 = 100;

/// What the dock shows.
#[derive(Debug, Default)]
pub(super) struct View<'a> {
    /// The line of the answer that is not complete.
    pub unfinished: Vec<Row>,
    /// The messages that wait.
    pub waiting: &'a [Waiting],
    /// Messages on their way to the server.
    pub sending: Vec<&'a str>,
    /// What happens.
    pub status: Option<Row>,
    /// The line being typed; none where nobody can type.
    pub input: Option<Input<'a>>,
}

/// The line being typed.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub prompt: &'a str,
    pub text: &'a str,
    /// The cursor's place in the text, in bytes.
    pub at: usize,
}

/// Rows, and the cursor's place among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dock {
    pub rows: Vec<Row>,
    /// Row and column.
    pub cursor: (usize, usize),
}

/// Lays a view out on a screen of so many columns and rows. What does not fit is left out, never the cursor.
pub(super) fn laid_out(view: &View<'_>, columns: usize, rows: usize) -> Dock {
    // A row that is full to the last column leaves the cursor in a place that terminals do not agree on.
    let columns = columns.saturating_sub(1).max(8);
    let height = rows.saturating_sub(1).max(1);
    let (input, cursor) = match &view.input {
        Some(input) => typed(input, columns, (height / 2).max(1)),
        None => (Vec::new(), (0, 0)),
    };
    let mut below: Vec<Row> =
        waiting(view).into_iter().chain(view.status.clone()).map(|row| row.cut(columns)).collect();
    let room = height.saturating_sub(input.len());
    below.drain(..below.len().saturating_sub(room));
    let room = room - below.len();
    let unfinished = view.unfinished.iter().flat_map(|row| broken(row, columns)).collect::<Vec<_>>();
    let mut rows = unfinished[unfinished.len().saturating_sub(room)..].to_vec();
    rows.extend(below);
    let cursor = match view.input {
        Some(_) => (rows.len() + cursor.0, cursor.1),
        None => (rows.len().saturating_sub(1), rows.last().map_or(0, Row::width)),
    };
    rows.extend(input);
    Dock { rows, cursor }
}

fn waiting(view: &View<'_>) -> Vec<Row> {
    let queued = view.waiting.iter().map(|waiting| {
        let mark = if waiting.steer { "steers" } else { "waits" };
        format!("  {mark} #{}: {}", waiting.id, shortened(&waiting.text, 200))
    });
    let sending = view.sending.iter().map(|text| format!("  sending: {}", shortened(text, 200)));
    let mut rows: Vec<Row> = queued.chain(sending).map(|text| Row::of(text, Face::DIM)).collect();
    if rows.len() > WAITING_ROWS {
        let more = rows.len() - WAITING_ROWS + 1;
        rows.truncate(WAITING_ROWS - 1);
        rows.push(Row::of(format!("  and {more} more wait; /queue shows them"), Face::DIM));
    }
    rows
}

/// A row that may be too long, as a terminal would break it.
fn broken(row: &Row, columns: usize) -> Vec<Row> {
    let mut rows = vec![Row::default()];
    let mut used = 0;
    for span in &row.0 {
        for cluster in span.text.graphemes(true) {
            let needed = width(cluster);
            if used + needed > columns {
                rows.push(Row::default());
                used = 0;
            }
            if let Some(row) = rows.last_mut() {
                row.push(cluster, span.face);
            }
            used += needed;
        }
    }
    rows
}

/// The rows of the line being typed, at most so many around the cursor, and the cursor's place in them.
fn typed(input: &Input<'_>, columns: usize, rows_max: usize) -> (Vec<Row>, (usize, usize)) {
    let indent = width(input.prompt).min(columns.saturating_sub(4));
    let mut rows = vec![Row::of(input.prompt, Face::BOLD).cut(indent)];
    let mut used = indent;
    let mut cursor = (0, indent);
    for (at, cluster) in input.text.grapheme_indices(true) {
        let is_break = cluster.contains('\n');
        let shown = harmless(cluster).replace('\t', " ");
        let needed = if is_break { 0 } else { width(&shown) };
        let overflows = used + needed > columns;
        if overflows && !is_break {
            rows.push(Row::plain(" ".repeat(indent)));
            used = indent;
        }
        if at == input.at {
            cursor = (rows.len() - 1, used);
        }
        if is_break {
            rows.push(Row::plain(" ".repeat(indent)));
            used = indent;
        } else if let Some(row) = rows.last_mut() {
            row.push(&shown, Face::PLAIN);
            used += needed;
        }
    }
    if input.at >= input.text.len() {
        cursor = (rows.len() - 1, used);
    }
    let first = (cursor.0 + 1).saturating_sub(rows_max);
    let rows: Vec<Row> = rows.into_iter().skip(first).take(rows_max).collect();
    (rows, (cursor.0 - first, cursor.1))
}

/// Something that has been under way for so long.
pub(super) fn working(what: &str, elapsed_ms: u64) -> Row {
    let picture = SPINNER[usize::try_from(elapsed_ms / SPINNER_MS).unwrap_or(0) % SPINNER.len()];
    Row::of(format!("{picture} {what} · {} · Ctrl-C stops", phrases::passed(elapsed_ms)), Face::DIM)
}

/// A retry that waits.
pub(super) fn retrying(attempt: u64, left_ms: u64) -> Row {
    let next = attempt.saturating_add(1);
    let text = match left_ms {
        0 => format!("attempt {next} begins …"),
        _ => format!("attempt {next} in {} · Ctrl-C stops", phrases::left(left_ms)),
    };
    Row::of(text, Face::YELLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(dock: &Dock) -> Vec<String> {
        dock.rows.iter().map(|row| row.painted(false)).collect()
    }

    fn input(text: &str, at: usize) -> View<'_> {
        View { input: Some(Input { prompt: "> ", text, at }), ..View::default() }
    }

    #[test]
    fn everything_in_its_order() {
        let waiting = [
            Waiting { id: 7, text: "and\nthen?".to_owned(), steer: false },
            Waiting { id: 9, text: "left".to_owned(), steer: true },
        ];
        let view = View {
            unfinished: vec![Row::plain("the answ")],
            waiting: &waiting,
            sending: vec!["new"],
            status: Some(Row::plain("busy")),
            ..input("abc", 1)
        };
        let dock = laid_out(&view, 40, 20);
        assert_eq!(
            shown(&dock),
            ["the answ", "  waits #7: and then?", "  steers #9: left", "  sending: new", "busy", "> abc"]
        );
        assert_eq!(dock.cursor, (5, 3));
    }

    #[test]
    fn a_long_line_wraps_and_the_cursor_with_it() {
        // 12 columns: 11 are used, 2 of them by the prompt.
        let dock = laid_out(&input("abcdefghijkl", 12), 12, 20);
        assert_eq!((shown(&dock), dock.cursor), (vec!["> abcdefghi".to_owned(), "  jkl".to_owned()], (1, 5)));
        assert_eq!(laid_out(&input("abcdefghijkl", 9), 12, 20).cursor, (1, 2));
        assert_eq!(laid_out(&input("abc\ndef", 4), 12, 20).cursor, (1, 2));
        assert_eq!(laid_out(&input("abc\ndef", 3), 12, 20).cursor, (0, 5));
        let wide = laid_out(&input("日本語日本", 15), 12, 20);
        assert_eq!((shown(&wide), wide.cursor), (vec!["> 日本語日".to_owned(), "  本".to_owned()], (1, 4)));
    }

    #[test]
    fn a_small_screen_keeps_the_cursor() {
        let view = View {
            unfinished: vec![Row::plain("x".repeat(100))],
            status: Some(Row::plain("a long status that is cut")),
            ..input("one\ntwo\nthree\nfour", 18)
        };
        let dock = laid_out(&view, 10, 5);
        assert_eq!(shown(&dock), ["x", "a long s…", "  three", "  four"]);
        assert_eq!(dock.cursor, (3, 6));
        for (columns, rows) in [(0, 0), (1, 1), (5, 2), (9, 3)] {
            let dock = laid_out(&view, columns, rows);
            assert!(dock.cursor.0 < dock.rows.len() && dock.rows.len() <= rows.max(2), "{columns} {rows}: {dock:?}");
        }
    }

    #[test]
    fn many_waiting_messages_are_counted() {
        let waiting: Vec<Waiting> = (1..=8).map(|id| Waiting { id, text: format!("m{id}"), steer: false }).collect();
        let dock = laid_out(&View { waiting: &waiting, ..input("", 0) }, 60, 20);
        assert_eq!(dock.rows.len(), 6);
        assert_eq!(shown(&dock)[4], "  and 4 more wait; /queue shows them");
    }

    #[test]
    fn countdowns_and_progress() {
        assert_eq!(retrying(1, 3_200).painted(false), "attempt 2 in 3.2 s · Ctrl-C stops");
        assert_eq!(retrying(1, 0).painted(false), "attempt 2 begins …");
        assert_eq!(working("answering", 61_300).painted(false), "⠸ answering · 1:01 min · Ctrl-C stops");
    }
}
