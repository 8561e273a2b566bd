use actix_web::test::TestRequest;

use super::*;
use crate::error::Code;

fn timeline() -> Uuid {
    Uuid::from_u128(0x0189_0000_0000_7000_8000_0000_dead_beef)
}

#[test]
fn a_position_comes_back_as_it_went() {
    assert_eq!(encode(timeline(), 123), "deadbeef-0-123");
    for position in [0, 1, u64::MAX] {
        assert_eq!(decode(timeline(), &encode(timeline(), position)), Ok(position));
    }
}

#[test]
fn a_position_of_another_log_and_garbage_are_refused() {
    let other = encode(Uuid::from_u128(1), 123);
    for text in [
        other.as_str(),
        "",
        "123",
        "deadbeef-0",
        "deadbeef-0-",
        "deadbeef-0-+1",
        "deadbeef-0--1",
        "deadbeef-1-1",
        "deadbeef-0-1-1",
        "deadbeef-0-18446744073709551616",
        "dead-0-1",
        "DEADBEEF-0-1",
    ] {
        let problem = decode(timeline(), text).unwrap_err();
        assert_eq!(problem.code, Code::InvalidRequest, "{text:?} is no position");
    }
}

#[test]
fn the_header_is_optional() {
    let wanted = |request: TestRequest| super::wanted(&request.to_http_request(), timeline());
    assert_eq!(wanted(TestRequest::default()), Ok(None));
    assert_eq!(wanted(TestRequest::default().insert_header((VERBATIM_POSITION, "deadbeef-0-7"))), Ok(Some(7)));
    assert!(wanted(TestRequest::default().insert_header((VERBATIM_POSITION, "7"))).is_err());
}
