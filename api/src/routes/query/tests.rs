use actix_web::test::TestRequest;

use super::*;
use crate::error::Code;

fn query(uri: &str) -> Query {
    Query::of(&TestRequest::with_uri(uri).to_http_request()).unwrap()
}

#[test]
fn parameters_are_decoded_and_the_key_is_no_parameter() {
    let mut query = query("/x?label=a:b&label=c%3Ad&q=two+words&access_token=secret");
    assert_eq!(query.all("label"), ["a:b", "c:d"]);
    assert_eq!(query.one("q").unwrap().as_deref(), Some("two words"));
    assert_eq!(query.finish(), Ok(()));
}

#[test]
fn what_nobody_asks_for_is_refused_without_its_value() {
    let problem = query("/x?acess_token=secret").finish().unwrap_err();
    assert_eq!(problem.code, Code::InvalidRequest);
    assert!(problem.detail.contains("acess_token") && !problem.detail.contains("secret"), "{problem}");
}

#[test]
fn limits_are_1_to_200() {
    let limit = |uri: &str| query(uri).limit().map_err(|problem| problem.code);
    assert_eq!(limit("/x"), Ok(50));
    assert_eq!((limit("/x?limit=1"), limit("/x?limit=200")), (Ok(1), Ok(200)));
    for uri in ["/x?limit=0", "/x?limit=201", "/x?limit=-1", "/x?limit=", "/x?limit=1&limit=2"] {
        assert_eq!(limit(uri), Err(Code::InvalidRequest), "{uri}");
    }
}

#[test]
fn booleans_are_words_or_digits() {
    assert_eq!(query("/x?a=true").boolean("a"), Ok(Some(true)));
    assert_eq!(query("/x?a=0").boolean("a"), Ok(Some(false)));
    assert_eq!(query("/x").boolean("a"), Ok(None));
    assert!(query("/x?a=yes").boolean("a").is_err());
}
