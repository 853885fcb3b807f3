use super::{canonical, canonical_query};

#[test]
fn gives_one_form() {
    for (raw, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/../../a", "/a"),
        ("/%61%2Db", "/a-b"),
        ("/%2e%2e/a", "/a"),
        ("/a%2e/b", "/a./b"),
        ("/a//b", "/a//b"),
        ("/a//../b", "/a/b"),
        ("/a;x=1/..;/b", "/a;x=1/..;/b"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/a%3ab", "/a%3ab"),
        ("/a|b/[x]/\"{c}\"^", "/a%7Cb/%5Bx%5D/%22%7Bc%7D%22%5E"),
        ("/...", "/..."),
        ("/.a", "/.a"),
    ] {
        assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
    }
}

#[test]
fn a_query_goes_on_as_it_came_but_for_what_none_may_hold() {
    for (raw, expected) in [
        ("a=1&b=%zz&c=50%&d=/?:@!$'()*+,;~", "a=1&b=%zz&c=50%&d=/?:@!$'()*+,;~"),
        ("a|b{c}^[d]`\\\"<>", "a%7Cb%7Bc%7D%5E%5Bd%5D%60%5C%22%3C%3E"),
    ] {
        assert_eq!(canonical_query(raw).as_deref(), Ok(expected), "{raw}");
    }
    for refused in ["é", "a b", "a\u{85}", "a\u{7f}", "a\tb"] {
        assert!(canonical_query(refused).is_err(), "{refused:?}");
    }
}

#[test]
fn refuses_what_servers_read_differently() {
    for raw in
        ["", "a", "/a%2fb", "/a%5Cb", "/%00", "/a\\b", "/%", "/%4", "/%zz", "/é", "/a b", "/\u{7f}", "/%2F.."]
    {
        assert!(canonical(raw).is_err(), "{raw}");
    }
}

#[test]
fn is_stable() {
    for raw in ["/a/../b/./c", "/%2e/%7euser", "/a//b/..", "/x%20y"] {
        let once = canonical(raw).unwrap().into_owned();
        assert_eq!(canonical(&once).as_deref(), Ok(&*once));
    }
}
