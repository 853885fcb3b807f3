use super::*;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        fs::create_dir(dir.0.path().join("policies")).unwrap();
        fs::create_dir(dir.0.path().join("routes")).unwrap();
        for (path, bytes) in files {
            let path = dir.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    fn read(&self) -> (Tree, Vec<(String, Code)>) {
        let mut findings = Diagnostics::default();
        let tree = Tree::read(self.0.path(), &mut findings);
        findings.finish();
        (tree, findings.items().iter().map(|item| (item.place.to_string(), item.code)).collect())
    }

    #[cfg(unix)]
    fn link(&self, target: &str, link: &str) {
        std::os::unix::fs::symlink(self.0.path().join(target), self.0.path().join(link)).unwrap();
    }
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.files.iter().map(|file| &*file.path).collect()
}

#[test]
fn reads_yaml_files_at_any_depth_sorted_by_path_and_skips_hidden_ones() {
    let dir = Dir::new(&[
        ("routes/shop/b.yml", b"b"),
        ("routes/shop/a/deep/c.yaml", b"c"),
        ("routes/shop/.hidden.yaml", b"x"),
        ("routes/.git/a.yaml", b"x"),
        ("routes/care/a.yaml", b"a"),
        ("routes/care/ca.pem", b"p"),
        ("policies/gateway.yaml", b"g"),
        ("elsewhere/a.yaml", b"x"),
    ]);
    let (tree, findings) = dir.read();
    assert_eq!(findings, []);
    assert_eq!(
        paths(&tree),
        ["policies/gateway.yaml", "routes/care/a.yaml", "routes/shop/a/deep/c.yaml", "routes/shop/b.yml"]
    );
    let units: Vec<_> = tree.files.iter().map(|file| file.unit.as_deref()).collect();
    assert_eq!(units, [None, Some("care"), Some("shop"), Some("shop")]);
    assert_eq!(tree.text("routes/shop/b.yml"), Some("b"));
    assert_eq!(tree.others.len(), 1);
}

#[test]
fn a_missing_folder_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("policies")).unwrap();
    let mut findings = Diagnostics::default();
    let _ = Tree::read(dir.path(), &mut findings);
    let [finding] = findings.items() else { panic!("{findings:?}") };
    assert_eq!((finding.code, &*finding.place.file), (Code::Unreadable, "routes"));
}

#[test]
fn bytes_that_are_not_utf8_are_a_finding_at_their_place() {
    let dir = Dir::new(&[
        ("routes/a/x.yaml", "a: ä\nb: ä\u{0}".as_bytes()),
        ("routes/a/y.yaml", b"a: 1\n\xc3\xa4\xff"),
    ]);
    let (_, findings) = dir.read();
    assert_eq!(findings, [("routes/a/y.yaml:2:2".to_owned(), Code::Yaml)]);
}

#[test]
fn a_large_file_is_not_read() {
    let dir = Dir::new(&[("routes/a/x.yaml", &vec![b' '; yaml::MAX_FILE_BYTES + 1])]);
    let (tree, findings) = dir.read();
    assert_eq!(findings, [("routes/a/x.yaml:1:1".to_owned(), Code::FileTooLarge)]);
    assert!(tree.files.is_empty());
}

#[cfg(unix)]
#[test]
fn a_link_may_not_leave_its_unit_but_may_stay_inside() {
    let dir =
        Dir::new(&[("routes/a/.data/x.yaml", b"x"), ("routes/b/y.yaml", b"y"), ("routes/b/ca.pem", b"c")]);
    dir.link("routes/a/.data/x.yaml", "routes/a/x.yaml");
    dir.link("routes/b/y.yaml", "routes/a/y.yaml");
    dir.link("routes/b", "routes/a/b");
    dir.link("routes/b/ca.pem", "routes/a/ca.pem");
    let (tree, findings) = dir.read();
    assert_eq!(
        findings,
        [
            ("routes/a/b:1:1".to_owned(), Code::OutsideUnit),
            ("routes/a/y.yaml:1:1".to_owned(), Code::OutsideUnit)
        ]
    );
    assert_eq!(paths(&tree), ["routes/a/x.yaml", "routes/b/y.yaml"]);
    assert!(tree.other("routes/a/ca.pem").unwrap().outside);
    assert!(Tree::locate(dir.0.path(), "a", "routes/a/ca.pem").is_err());
    assert!(Tree::locate(dir.0.path(), "b", "routes/b/ca.pem").is_ok());
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_end() {
    let dir = Dir::new(&[("routes/a/x.yaml", b"x")]);
    dir.link("routes/a", "routes/a/again");
    dir.link("policies", "policies/again");
    let (tree, _) = dir.read();
    assert!(tree.files.len() <= 2);
}

#[test]
fn a_named_file_that_is_not_there_is_a_finding_where_it_is_named() {
    let service = "apiVersion: segue/v1\nkind: Service\nmetadata: {name: s, owner: o}\n\
                   endpoints: [{url: \"https://a\"}]\ntls: {ca: ca.pem, clientCert: {cert: there.pem, key: there.pem}}\n";
    let dir = Dir::new(&[("routes/a/s.yaml", service.as_bytes()), ("routes/a/there.pem", b"c")]);
    let (tree, _) = dir.read();
    let mut findings = Diagnostics::default();
    let _ = super::super::Templates::parse(&tree, &mut findings);
    let named: Vec<_> = findings.items().iter().filter(|item| item.code == Code::Unreadable).collect();
    assert_eq!(named.len(), 1);
    assert_eq!(named[0].place.to_string(), "routes/a/s.yaml:5:11");
}
