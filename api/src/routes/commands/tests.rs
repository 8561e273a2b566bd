use actix_web::test::TestRequest;

use super::*;

#[test]
fn a_trace_is_taken_over_only_where_it_is_well_formed() {
    let trace = |text: &str| trace_id(&TestRequest::default().insert_header(("traceparent", text)).to_http_request());
    let id = "0af7651916cd43dd8448eb211c80319c";
    assert_eq!(trace(&format!("00-{id}-b7ad6b7169203331-01")).as_deref(), Some(id));
    for wrong in [
        String::new(),
        "00".to_owned(),
        format!("ff-{id}-b7ad6b7169203331-01"),
        format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()),
        format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
        format!("00-{}-b7ad6b7169203331-01", &id[1..]),
    ] {
        assert_eq!(trace(&wrong), None, "{wrong:?} names no trace");
    }
}
