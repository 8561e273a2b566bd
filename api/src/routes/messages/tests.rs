use super::*;
use crate::error::Code;

#[test]
fn a_cursor_goes_on_in_its_direction() {
    let apply = |cursor: &str| {
        let mut query = MessageQuery::default();
        apply_cursor(cursor, &mut query).map(|()| (query.before, query.after)).map_err(|problem| problem.code)
    };
    assert_eq!(apply("a17"), Ok((None, Some(17))));
    assert_eq!(apply("b17"), Ok((Some(17), None)));
    for wrong in ["", "a", "17", "c17", "a-1", "a1x", "ä"] {
        assert_eq!(apply(wrong), Err(Code::InvalidRequest), "{wrong:?} is no cursor");
    }
}
