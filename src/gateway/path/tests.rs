use super::canonical;

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
