use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

#[test]
fn a_well_formed_header_names_a_trace() {
    let parent = TraceParent::parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
    assert_eq!((parent.trace_id().as_str(), parent.span_id, parent.sampled), (TRACE, 0xb7ad_6b71_6920_3331, true));
    let parent = TraceParent::parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap();
    assert!(!parent.sampled);
    let short = format!("00-{}1-{SPAN}-00", "0".repeat(31));
    assert_eq!(TraceParent::parse(&short).unwrap().trace_id(), format!("{}1", "0".repeat(31)));
}

#[test]
fn a_later_version_may_say_more() {
    assert!(TraceParent::parse(&format!("01-{TRACE}-{SPAN}-01-more")).is_some());
}

#[test]
fn what_is_malformed_names_no_trace() {
    for wrong in [
        String::new(),
        "00".to_owned(),
        format!("00-{TRACE}"),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-+{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}-{SPAN}-é"),
    ] {
        assert_eq!(TraceParent::parse(&wrong), None, "{wrong:?} names no trace");
    }
}

#[test]
fn two_headers_name_no_trace() {
    let value = || format!("00-{TRACE}-{SPAN}-01").parse().unwrap();
    let mut headers = HeaderMap::new();
    assert_eq!(TraceParent::of(&headers), None);
    headers.append(TRACEPARENT.parse().unwrap(), value());
    assert_eq!(TraceParent::of(&headers).map(|parent| parent.trace_id()).as_deref(), Some(TRACE));
    headers.append(TRACEPARENT.parse().unwrap(), value());
    assert_eq!(TraceParent::of(&headers), None);
}
