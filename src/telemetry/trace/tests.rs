//! The specifications' rules, case by case.

use super::*;

const ID: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SPAN: u64 = 0xb7ad_6b71_6920_3331;
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    fields.iter().map(pair).collect()
}

/// What becomes of these `traceparent` fields from a trusted caller: whether the trace is continued, and the
/// flags that are sent on with it.
fn parents(fields: &[&str]) -> Option<u8> {
    let fields: Vec<_> = fields.iter().map(|field| ("traceparent", *field)).collect();
    let trace = Trace::from_headers(&headers(&fields), true);
    let continued = trace.parent == Some(SPAN) && trace.id == ID;
    assert!(continued || (trace.parent.is_none() && trace.id != ID && trace.id != 0), "{trace:?}");
    continued.then(|| trace.flags())
}

#[test]
fn traceparent_case_by_case() {
    let with = |version: &str, flags: &str| {
        format!("{version}-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}")
    };
    let cases: &[(&str, &str, Option<u8>)] = &[
        ("sampled", &with("00", "01"), Some(1)),
        ("not sampled", &with("00", "00"), Some(0)),
        ("random", &with("00", "02"), Some(2)),
        ("sampled and random", &with("00", "03"), Some(3)),
        ("unknown flags are ignored", &with("00", "ff"), Some(3)),
        ("another unknown flag", &with("00", "08"), Some(0)),
        ("a future version", &with("01", "01"), Some(1)),
        ("a late future version", &with("fe", "00"), Some(0)),
        ("a future version with more", &with("cc", "01-what-the-future-will-be-like"), Some(1)),
        ("a future version with an empty rest", &with("cc", "01-"), Some(1)),
        ("a future version with no dash before the rest", &with("cc", "01.what"), None),
        (
            "a future version that is too short",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            None,
        ),
        ("version 00 with more", &with("00", "01-extra"), None),
        ("version 00 with a dash at its end", &with("00", "01-"), None),
        ("version ff", &with("ff", "01"), None),
        ("a version that is no number", &with("qw", "01"), None),
        ("a version in upper case", &with("0A", "01"), None),
        ("a version of one digit", &with("0", "01"), None),
        ("a version of three digits", &with("000", "01"), None),
        ("a version with white space", &with(" 0", "01"), None),
        ("upper case in the trace id", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", None),
        ("a trace id of zeros", "00-00000000000000000000000000000000-b7ad6b7169203331-01", None),
        ("a trace id that is too short", "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", None),
        ("a trace id that is too long", "00-0af7651916cd43dd8448eb211c80319c0-b7ad6b7169203331-01", None),
        ("a trace id with a dot", "00-.af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None),
        ("a parent of zeros", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", None),
        ("a parent that is too short", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01", None),
        ("a parent that is too long", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033310-01", None),
        ("upper case in the parent", "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01", None),
        ("flags of one digit", &with("00", "1"), None),
        ("flags of three digits", &with("00", "001"), None),
        ("flags that are no number", &with("00", ".1"), None),
        ("no flags", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", None),
        ("another separator", "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01", None),
        ("nothing", "", None),
    ];
    for (what, field, wanted) in cases {
        assert_eq!(parents(&[field]), *wanted, "{what}: {field}");
    }
    assert_eq!(parents(&[PARENT, PARENT]), None, "two fields, even equal ones");
    assert_eq!(parents(&[&format!("{PARENT},{PARENT}")]), None, "two fields that somebody joined");
    assert_eq!(parents(&[]), None, "no field");
}

/// What is sent on of these `tracestate` fields.
fn state_of(fields: &[&str]) -> Option<String> {
    let fields = fields.iter().map(|field| ("tracestate", *field));
    let fields: Vec<_> = [("traceparent", PARENT)].into_iter().chain(fields).collect();
    let trace = Trace::from_headers(&headers(&fields), false);
    assert_eq!(trace.parent, Some(SPAN), "the parent stays, whatever the state is");
    trace.state.map(|state| state.to_str().unwrap().to_owned())
}

#[test]
fn tracestate_case_by_case() {
    let as_it_is = [
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=1",
        "fw529a3039@dt=FfAAAA",
        "0tenant@v=1",
        "a_-*/@b=1",
        "a=1, b=2 ,\tc=3",
        "a=1,,b=2,",
        "a=a b",
        "a= b",
        "foo=1,foo=2",
        "a=!\"#$%&'()*+-./:;<>?@[]^_`{|}~",
    ];
    for field in as_it_is {
        assert_eq!(state_of(&[field]).as_deref(), Some(field), "{field}");
    }
    let key = |length: usize| "k".repeat(length);
    assert!(state_of(&[&format!("{}=1", key(256))]).is_some());
    let not_valid = [
        "novalue",
        "UPPER=1",
        "a=",
        "a=b=c",
        "=1",
        "_a=1",
        "@a=1",
        "a b=1",
        "a =1",
        "foo.bar=1",
        "a=1,novalue",
        "a=\u{7f}x",
        "",
        " ",
        ",",
        &format!("{}=1", key(257)),
        &format!("a={}", "v".repeat(257)),
    ];
    for field in not_valid {
        // The client of a test cannot send DEL; a value that is refused is dropped as well.
        if HeaderValue::from_str(field).is_ok() {
            assert_eq!(state_of(&[field]), None, "{field}");
        }
    }
    assert_eq!(state_of(&["a=1", "b=2", "c=3"]).as_deref(), Some("a=1,b=2,c=3"), "fields are one list");
    assert_eq!(state_of(&["a=1", "", "b=2"]).as_deref(), Some("a=1,,b=2"));
    let members = |count: usize| (0..count).map(|at| format!("k{at}=1")).collect::<Vec<_>>().join(",");
    assert_eq!(state_of(&[&members(32)]), Some(members(32)));
    assert_eq!(state_of(&[&members(33)]), None);
    let long = |length: usize| format!("long={}", "v".repeat(length - 5));
    let fits = format!("{},{}", long(255), long(256));
    assert_eq!(state_of(&[&fits]).as_deref(), Some(&*fits), "512 characters pass");
    let cut = state_of(&[&format!("a=1,{},b=2,{}", long(256), long(256))]);
    assert_eq!(cut, Some(format!("a=1,{},b=2", long(256))), "long members go first, from the end");
    let many = (0..10).map(|at| format!("k{at}={}", "v".repeat(60))).collect::<Vec<_>>();
    assert_eq!(state_of(&[&many.join(",")]), Some(many[..8].join(",")), "then the last ones");
}

#[test]
fn state_without_a_valid_parent_is_dropped() {
    let trace = Trace::from_headers(&headers(&[("traceparent", "x"), ("tracestate", "a=1")]), true);
    assert_eq!((trace.parent, trace.state), (None, None));
}

#[test]
fn what_is_sent_on_has_our_span_and_our_decision() {
    let mut trace = Trace::from_headers(&headers(&[("traceparent", PARENT)]), false);
    assert!(!trace.sampled, "a stranger does not decide what is recorded");
    assert_eq!(trace.to_header(0xabc), "00-0af7651916cd43dd8448eb211c80319c-0000000000000abc-00");
    trace.decide(Sampler::new(1.0));
    assert_eq!(trace.to_header(0xabc), "00-0af7651916cd43dd8448eb211c80319c-0000000000000abc-01");
    let mut trace = Trace::from_headers(&headers(&[("traceparent", PARENT)]), true);
    trace.decide(Sampler::new(0.0));
    assert!(trace.sampled, "a trusted caller does");
    assert_eq!(Trace::new().flags(), 2, "an id made here is random");
}

#[test]
fn a_share_of_traces_is_kept_by_their_ids_alone() {
    for share in [0.0, 0.01, 0.5, 1.0] {
        let sampler = Sampler::new(share);
        // Evenly over the range, with anything in front.
        let kept = (0..10_000u128).filter(|at| sampler.keeps((at << 100) | ((at << 56) / 10_000))).count();
        assert!((kept as f64 - share * 10_000.0).abs() <= 1.0, "{kept} of {share}");
    }
    let ids: Vec<u128> = (0..1000).map(|_| fastrand::u128(..)).collect();
    let few = ids.iter().filter(|id| Sampler::new(0.1).keeps(**id));
    assert!(few.into_iter().all(|id| Sampler::new(0.2).keeps(*id)), "a larger share has the smaller in it");
}

#[test]
fn baggage_case_by_case() {
    let of = |fields: &[&str], trusted| {
        let fields: Vec<_> = fields.iter().map(|field| ("baggage", *field)).collect();
        let trace = Trace::from_headers(&headers(&fields), trusted);
        trace.baggage.map(|baggage| baggage.to_str().unwrap().to_owned())
    };
    assert_eq!(of(&["a=1"], false), None, "of strangers nothing passes");
    for (field, kept) in [
        ("a=1", "a=1"),
        ("a=1,b=2", "a=1,b=2"),
        ("a=1 , b=2", "a=1,b=2"),
        ("a = 1", "a = 1"),
        ("a=1;p;q=2", "a=1;p;q=2"),
        ("a=%20x", "a=%20x"),
        ("a=", "a="),
        ("a=b=c", "a=b=c"),
        ("novalue,b=2", "b=2"),
        ("=1,b=2", "b=2"),
        ("a=\"x\",b=2", "b=2"),
        ("a=1;p p,b=2", "b=2"),
    ] {
        assert_eq!(of(&[field], true).as_deref(), Some(kept), "{field}");
    }
    assert_eq!(of(&["a=1", "b=2"], true).as_deref(), Some("a=1,b=2"));
    assert_eq!(of(&["", "x"], true), None);
    let many = (0..70).map(|at| format!("k{at}=1")).collect::<Vec<_>>();
    assert_eq!(of(&[&many.join(",")], true), Some(many[..64].join(",")));
    let large = format!("a={},b={}", "v".repeat(8000), "w".repeat(300));
    assert_eq!(of(&[&large], true), Some(format!("a={}", "v".repeat(8000))));
}

#[test]
fn spans_of_a_request_differ() {
    let mut spans: Vec<u64> = (0..10_000).map(|number| derived(7, number)).collect();
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), 10_000);
    assert!(!spans.contains(&0));
}
