use http::HeaderName;

use super::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    fields.iter().map(pair).collect()
}

fn in_header(fields: &[(&'static str, &'static str)], scheme: Option<&str>) -> String {
    let source = Source::Header(HeaderName::from_static("authorization"), scheme.map(str::to_owned));
    format!("{:?}", find(&source, &map(fields), &Uri::default()))
}

#[test]
fn a_field_holds_one_credential_of_its_scheme() {
    for (value, expected) in [
        ("Bearer abc", r#"One("abc")"#),
        ("bEARER \t abc ", r#"One("abc")"#),
        ("Bearer", r#"One("")"#),
        ("Bearerabc", "Nothing"),
        ("Basic abc", "Nothing"),
        ("Bearer a, Bearer b", r#"One("a, Bearer b")"#),
        ("", "Nothing"),
    ] {
        assert_eq!(in_header(&[("authorization", value)], Some("Bearer")), expected, "{value}");
    }
    assert_eq!(in_header(&[], Some("Bearer")), "Nothing");
    assert_eq!(in_header(&[("authorization", "abc")], None), r#"One("abc")"#);
}

#[test]
fn more_than_one_is_told() {
    let two = [("authorization", "Bearer a"), ("authorization", "Bearer a")];
    assert_eq!(in_header(&two, Some("Bearer")), "Several");
    let mixed = [("authorization", "Basic a"), ("authorization", "Bearer a")];
    assert_eq!(in_header(&mixed, Some("Bearer")), "Several");
    assert_eq!(in_header(&mixed, None), "Several");
    assert_eq!(in_header(&mixed, Some("Digest")), "Nothing");
    let cookies = map(&[("cookie", "t=1; u=2"), ("cookie", "t=3")]);
    let uri: Uri = "/a?k=1&x=&%6b=2".parse().unwrap();
    assert_eq!(find(&Source::Cookie("t".to_owned()), &cookies, &uri), Found::Several);
    assert_eq!(find(&Source::Cookie("u".to_owned()), &cookies, &uri), Found::One("2".into()));
    assert_eq!(find(&Source::Cookie("T".to_owned()), &cookies, &uri), Found::Nothing);
    assert_eq!(find(&Source::Query("k".to_owned()), &cookies, &uri), Found::Several);
    assert_eq!(find(&Source::Query("x".to_owned()), &cookies, &uri), Found::One("".into()));
}

#[test]
fn a_cookie_goes_alone() {
    for (lines, expected) in [
        (&["t=1"][..], &[][..]),
        (&["a=1; t=1;b=2"], &["a=1; b=2"]),
        (&["a=1", "t=1; c=\"x\""], &["a=1", "c=\"x\""]),
        (&["a=1;b=2", "t =1"], &["a=1;b=2"]),
        (&["T=1"], &["T=1"]),
    ] {
        let lines = lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line)));
        let mut headers: HeaderMap = lines.collect();
        remove(&Source::Cookie("t".to_owned()), &mut headers, &mut Uri::default());
        assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_parameter_goes_alone_however_it_is_spelt() {
    for (target, expected) in [
        ("/a?key=1", "/a"),
        ("/a?x=%20&key=1&y", "/a?x=%20&y"),
        ("/a?%6Bey=1&Key=2&key", "/a?Key=2"),
        ("/a?k=key", "/a?k=key"),
        ("/a?&key=1", "/a?"),
        ("/a", "/a"),
    ] {
        let mut uri: Uri = target.parse().unwrap();
        remove(&Source::Query("key".to_owned()), &mut HeaderMap::new(), &mut uri);
        assert_eq!(uri.to_string(), expected, "{target}");
    }
}

#[test]
fn what_has_another_scheme_stays_when_one_is_taken_out() {
    let source = Source::Header(HeaderName::from_static("authorization"), Some("Bearer".to_owned()));
    for (fields, kept) in [
        (&[("authorization", "bearer abc")][..], &[][..]),
        (&[("authorization", "Basic abc")], &["Basic abc"]),
        (&[("authorization", "Basic a"), ("authorization", "Bearer b")], &["Basic a"]),
    ] {
        let mut headers = map(fields);
        remove(&source, &mut headers, &mut Uri::default());
        let left: Vec<_> = headers.get_all("authorization").iter().collect();
        assert_eq!(left, kept);
    }
}
