use super::super::edits::apply;
use super::*;

fn edit(old: &str, new: &str, replace_all: bool) -> Edit {
    Edit { path: "f".to_owned(), old_text: old.to_owned(), new_text: new.to_owned(), replace_all }
}

#[test]
fn an_edit_needs_its_words_exactly_once_unless_all_are_meant() {
    let text = "let a = 1;\nlet b = 1;\n";
    for (edit, expected) in [
        (edit("a = 1", "a = 2", false), Ok(("let a = 2;\nlet b = 1;\n".to_owned(), 1))),
        (edit("= 1", "= 2", true), Ok(("let a = 2;\nlet b = 2;\n".to_owned(), 2))),
        (edit("a = 1", "a = 2", true), Ok(("let a = 2;\nlet b = 1;\n".to_owned(), 1))),
        (edit("let a = 1;\n", "", false), Ok(("let b = 1;\n".to_owned(), 1))),
        (edit("= 1", "= 2", false), Err(EditProblem::Ambiguous { times: 2 })),
        (edit("let  a", "x", false), Err(EditProblem::NotFound)),
        (edit("let  a", "x", true), Err(EditProblem::NotFound)),
        (edit("", "x", false), Err(EditProblem::Empty)),
        (edit("a", "a", false), Err(EditProblem::Same)),
    ] {
        assert_eq!(apply(text, &edit), expected, "{edit:?}");
    }
    assert_eq!(apply("aaa", &edit("aa", "b", false)), Err(EditProblem::Ambiguous { times: 2 }), "they overlap");
    assert_eq!(apply("ää", &edit("ä", "b", true)), Ok(("bb".to_owned(), 2)));
}

#[test]
fn a_small_edit_cannot_fill_the_memory() {
    let text = "x".repeat(FILE_MAX_BYTES);
    let grown = edit("x", &"y".repeat(FILE_MAX_BYTES), true);
    let size_bytes = FILE_MAX_BYTES * FILE_MAX_BYTES;
    assert_eq!(apply(&text, &grown), Err(EditProblem::TooLarge { size_bytes }));
}
