use super::*;

/// Rules are shortened to one sign; faces are letters before the text: `b` bold, `d` dim, `i` italic, `u` underlined, `s` struck, `c` coloured.
fn shown(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.0.iter().map(span).collect()).collect()
}

fn span(span: &crate::cli::chat::text::Span) -> String {
    let face = span.face;
    let letters = [
        (face.bold, 'b'),
        (face.dim, 'd'),
        (face.italic, 'i'),
        (face.underlined, 'u'),
        (face.struck, 's'),
        (face.colour.is_some(), 'c'),
    ];
    let letters: String = letters.into_iter().filter_map(|(is_set, letter)| is_set.then_some(letter)).collect();
    let mut text = span.text.clone();
    while text.contains("──") {
        text = text.replace("──", "─");
    }
    if letters.is_empty() { text } else { format!("<{letters}:{text}>") }
}

fn rendered(text: &str, columns: usize) -> Vec<String> {
    let mut markdown = Markdown::new(true);
    let mut rows = markdown.feed(text, columns);
    rows.extend(markdown.finish(columns));
    shown(&rows)
}

const CASES: &[(&str, &[&str])] = &[
    ("plain text", &["plain text"]),
    ("two\n\nparagraphs\n", &["two", "", "paragraphs"]),
    ("# One *two*\n### Three ###", &["<bu:One ><biu:two>", "<b:Three>"]),
    ("#hashtag", &["#hashtag"]),
    ("a **bold** and *light* and ***both*** word", &["a <b:bold> and <i:light> and <bi:both> word"]),
    ("__bold__ _light_ snake_case_name ~~gone~~", &["<b:bold> <i:light> snake_case_name <s:gone>"]),
    ("**bold *and light***", &["<b:bold ><bi:and light>"]),
    ("*light **and bold***", &["<i:light ><bi:and bold>"]),
    ("2 * 3 * 4 and a ** b", &["2 * 3 * 4 and a ** b"]),
    ("**never closed", &["**never closed"]),
    ("`code *not light*` and ``a ` b``", &["<c:code *not light*> and <c:a ` b>"]),
    ("an open ` tick", &["an open ` tick"]),
    (r"\*escaped\* and \\", &[r"*escaped* and \"]),
    ("[text](http://a.b/c) [http://x](http://x)", &["<u:text><d: (http://a.b/c)> <u:http://x>"]),
    ("![picture](p.png) array[0] [x]", &["<u:picture><d: (p.png)> array[0] [x]"]),
    ("- one\n- **two**\n  - three\n* four", &["• one", "• <b:two>", "  • three", "• four"]),
    ("1. one\n12) two\n1.5 is no item", &["1. one", "12) two", "1.5 is no item"]),
    ("- [ ] open\n- [x] done", &["☐ open", "☑ done"]),
    ("> quoted *light*", &["<d:│ ><i:quoted light>"]),
    ("| a | **b** |\n|---|---|\n| 1 | 2 |", &["| a | **b** |", "|---|---|", "| 1 | 2 |"]),
    ("---\n***", &["<d:─>", "<d:─>"]),
    (
        "```rust\nlet *x* = 1;\n\n# no heading\n```\nafter",
        &["<d:╭─ rust ─>", "<c:let *x* = 1;>", "", "<c:# no heading>", "<d:╰─>", "after"],
    ),
    ("~~~\n```\n~~~", &["<d:╭─>", "<c:```>", "<d:╰─>"]),
    ("  ```\n    in\n  ```", &["<d:╭─>", "<c:  in>", "<d:╰─>"]),
    ("````\n```\n````", &["<d:╭─>", "<c:```>", "<d:╰─>"]),
    ("```\nnever closed", &["<d:╭─>", "<c:never closed>", "<d:╰─>"]),
    ("```inline``` code", &["<c:inline> code"]),
    ("日本語の **強調** です", &["日本語の <b:強調> です"]),
    ("a\u{1b}[31mb\r\nc\td", &["a\u{fffd}[31mb", "c    d"]),
];

#[test]
fn blocks_and_words_look_as_they_are_meant() {
    for (text, rows) in CASES {
        assert_eq!(rendered(text, 60), *rows, "{text:?}");
    }
}

#[test]
fn long_lines_wrap_below_their_mark() {
    assert_eq!(rendered("one two three four five six", 20), ["one two three four", "five six"]);
    assert_eq!(rendered("- one two three four five", 20), ["• one two three four", "  five"]);
    assert_eq!(rendered("> one two three four five", 20), ["<d:│ ><i:one two three four>", "<d:│ ><i:five>"]);
    assert_eq!(rendered("a **bold word that wraps** b", 12), ["a <b:bold word>", "<b:that wraps> b"]);
    assert_eq!(rendered("| a table | is never wrapped |", 12), ["| a table | is never wrapped |"]);
    assert_eq!(rendered("```\ncode is never wrapped\n```", 12)[1], "<c:code is never wrapped>");
}

#[test]
fn where_a_text_is_split_makes_no_difference() {
    for (text, _) in CASES {
        let whole = rendered(text, 20);
        for split in (0..=text.len()).filter(|split| text.is_char_boundary(*split)) {
            let mut markdown = Markdown::new(true);
            let mut rows = markdown.feed(&text[..split], 20);
            // Looking at the unfinished line changes nothing.
            markdown.unfinished(20);
            rows.extend(markdown.feed(&text[split..], 20));
            rows.extend(markdown.finish(20));
            assert_eq!(shown(&rows), whole, "{text:?} split at {split}");
        }
        let mut markdown = Markdown::new(true);
        let mut rows = Vec::new();
        for character in text.chars() {
            rows.extend(markdown.feed(character.encode_utf8(&mut [0; 4]), 20));
        }
        rows.extend(markdown.finish(20));
        assert_eq!(shown(&rows), whole, "{text:?} by character");
    }
}

#[test]
fn the_unfinished_line_is_shown_as_it_will_look() {
    let mut markdown = Markdown::new(true);
    assert_eq!(shown(&markdown.feed("# Title\n- **bo", 20)), ["<bu:Title>"]);
    assert_eq!(shown(&markdown.unfinished(20)), ["• **bo"]);
    assert_eq!(shown(&markdown.feed("ld** x", 20)), Vec::<String>::new());
    assert_eq!(shown(&markdown.unfinished(20)), ["• <b:bold> x"]);
    assert_eq!(shown(&markdown.drop_unfinished(20)), Vec::<String>::new());
    assert_eq!(shown(&markdown.finish(20)), Vec::<String>::new());
}

#[test]
fn a_dropped_text_closes_its_code_block() {
    let mut markdown = Markdown::new(true);
    markdown.feed("```\nlet", 20);
    assert_eq!(shown(&markdown.drop_unfinished(20)), ["<d:╰─>"]);
    assert_eq!(shown(&markdown.feed("*a*\n", 20)), ["<i:a>"], "no longer in code");
}

#[test]
fn without_faces_the_source_stays() {
    let mut markdown = Markdown::new(false);
    let mut rows = markdown.feed("# A\n```x\n**b**\n```\n", 20);
    rows.extend(markdown.finish(20));
    assert_eq!(shown(&rows), ["# A", "```x", "**b**", "```"]);
}

#[test]
fn no_text_makes_it_panic() {
    let pieces =
        ["*", "**", "_", "`", "```", "[", "](", ")", "\\", "> ", "- ", "#", " ", "\n", "ä", "日", "!", "~~", "|"];
    for a in pieces {
        for b in pieces {
            for c in pieces {
                for text in [format!("{a}{b}{c}"), format!("x{a}y{b}z{c}w"), format!("{a}{b}{c}{a}{b}{c}{c}{b}{a}")] {
                    let rows = rendered(&text, 3);
                    assert!(rows.len() <= text.len() * 2 + 2, "{text:?}: {rows:?}");
                }
            }
        }
    }
}
