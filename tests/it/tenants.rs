//! Two units on one gateway that serves, one of them hostile: what clients, the other unit's service and the
//! hostile one's own see of whatever it publishes.

use std::{collections::HashMap, io, net::SocketAddr, os::unix::fs::symlink, path::Path, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use segue::{
    reload::Outcome,
    serve::{self, Running, StartError},
    upstream::secret::{Process, Sources},
};
use tempfile::TempDir;

use crate::support::{
    client::{Got, get, send},
    gateway::{GATEWAY, route, service, write},
    origin::{Origin, json},
};

/// The files of a folder, and an environment of the test's own.
struct Env(Process, HashMap<&'static str, String>);

impl Sources for Env {
    fn variable(&self, name: &str) -> Option<String> {
        self.1.get(name).cloned()
    }

    fn file(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.file(path)
    }
}

/// What the other unit's service is given and nobody else may see.
const SECRET: &str = "good-secret-4711";

/// A gateway of the units `good` and `hostile`, each with a service of its own.
struct Field {
    folder: TempDir,
    running: Running,
    address: SocketAddr,
    admin: SocketAddr,
    good: Origin,
    hostile: Origin,
}

const UNITS: &str = "\
---
apiVersion: segue/v1
kind: Unit
metadata: {name: good, owner: platform}
owns: [{prefix: /good}]
grants: {egress: [127.0.0.1], secrets: [GOOD_*]}
---
apiVersion: segue/v1
kind: Unit
metadata: {name: hostile, owner: platform}
owns: [{prefix: /own}]
";

impl Field {
    /// `grants` are those of the hostile unit, besides the host of its service.
    async fn start(grants: &str, environment: &[(&'static str, &str)]) -> Self {
        let good = Origin::json(r#"{"from":"good"}"#).await;
        let hostile = Origin::json(r#"{"from":"hostile"}"#).await;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "policies/gateway.yaml", &format!("{GATEWAY}{UNITS}grants: {{{grants}}}\n"));
        write(root, "policies/lent/lent.txt", "lent-to-hostile");
        write(root, "policies/kept.txt", SECRET);
        write(root, "routes/good/key.txt", SECRET);
        let headers = "headers: {x-key: {file: key.txt}, x-env: {env: GOOD_KEY}}";
        let back = service("back", good.address, headers);
        let one = route("one", "match: {path: '/good/{rest...}'}\nproxy: {service: back}");
        write(root, "routes/good/all.yaml", &format!("{back}---\n{one}"));
        let harmless = to_own("static: {body: {}}");
        write(root, "routes/hostile/all.yaml", &harmless);
        let mut variables: HashMap<_, _> =
            environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        variables.insert("GOOD_KEY", SECRET.to_owned());
        let options = serve::Options {
            root: root.to_owned(),
            sources: Arc::new(Env(Process::new(root), variables)),
            signals: false,
        };
        let running = match serve::start(options) {
            Ok(running) => running,
            Err(StartError::Findings(findings, _)) => panic!("{:#?}", findings.items()),
            Err(error) => panic!("{error}"),
        };
        let (address, admin) = (running.listeners[0].1, running.admin.unwrap());
        Self { folder, running, address, admin, good, hostile }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The hostile unit publishes this, and what the gateway says to it.
    fn publish(&self, documents: &[String]) -> Outcome {
        write(self.root(), "routes/hostile/all.yaml", &documents.join("---\n"));
        match self.running.reload().unwrap() {
            // The watcher of the files was first.
            Outcome::Unchanged => Outcome::Applied,
            outcome => outcome,
        }
    }

    /// The other unit is served by its own service, with its own secrets.
    async fn good_is_served(&self) {
        let before = self.good.seen().len();
        let got = get(self.address, "/good/a").await;
        assert_eq!((got.status.as_u16(), got.text()), (200, r#"{"from":"good"}"#));
        let seen = self.good.seen();
        assert_eq!(seen.len(), before + 1);
        assert_eq!(
            (&seen[before].headers["x-key"], &seen[before].headers["x-env"]),
            (&SECRET.parse().unwrap(), &SECRET.parse().unwrap())
        );
    }

    /// Neither the hostile unit's service nor its clients have seen the other's secret.
    fn nothing_leaked(&self, answers: &[Got]) {
        for call in self.hostile.seen() {
            assert!(!format!("{call:?}").contains(SECRET), "{call:?}");
        }
        for answer in answers {
            let text = format!("{answer:?}");
            assert!(!text.contains(SECRET) && !text.contains("segue_generation"), "{text}");
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        self.running.drain();
    }
}

fn to_own(more: &str) -> String {
    route("own", &format!("match: {{path: '/own/{{rest...}}'}}\n{more}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_unit_gets_no_request_of_anothers_paths() {
    let field = Field::start("egress: [127.0.0.1]", &[]).await;
    let own = service("own", field.hostile.address, "");
    for claimed in [
        "/good/a",
        "/good/{x}",
        "/{any}/a",
        "/{rest...}",
        "/GOOD/a",
        "/%67ood/a",
        "/own/../good/a",
        "/good/x/../a",
    ] {
        let shadow = route("shadow", &format!("match: {{path: '{claimed}'}}\nproxy: {{service: own}}"));
        assert_eq!(field.publish(&[own.clone(), shadow]), Outcome::Rejected, "{claimed}");
        field.good_is_served().await;
    }
    // Nor does a client's spelling lead from one unit's ground to the other's.
    assert_eq!(field.publish(&[own, to_own("proxy: {service: own}")]), Outcome::Applied);
    for spelled in [
        "/own/../good/a",
        "/own/%2e%2e/good/a",
        "/own/..;/good/a",
        "/own/..%2fgood/a",
        "/own/..%5cgood/a",
        "/good/..;/own/a",
        "/good/../own/../good/a",
        "//own/../good/a",
        "/%67ood/a",
    ] {
        let (good, hostile) = (field.good.seen().len(), field.hostile.seen().len());
        let got = get(field.address, spelled).await;
        assert_eq!(field.hostile.seen().len(), hostile, "{spelled}: {got:?}");
        let served = got.status == 200;
        assert_eq!(field.good.seen().len() - good, usize::from(served), "{spelled}");
        assert!(served || got.status.is_client_error(), "{spelled}: {got:?}");
    }
    assert_eq!(get(field.address, "/own/a").await.text(), r#"{"from":"hostile"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_unit_reads_neither_secrets_nor_files_that_are_not_its_own() {
    let field = Field::start(
        "egress: [127.0.0.1], files: [lent], secrets: [HOSTILE_*]",
        &[("HOSTILE_KEY", "own-key")],
    )
    .await;
    let with = |source: &str| {
        let own = service("own", field.hostile.address, &format!("headers: {{x-took: {source}}}"));
        [own, to_own("proxy: {service: own}")]
    };
    symlink(field.root().join("routes/good/key.txt"), field.root().join("routes/hostile/link.txt")).unwrap();
    symlink(field.root().join("routes/good"), field.root().join("routes/hostile/folder")).unwrap();
    for source in [
        "{env: GOOD_KEY}",
        "{env: PATH}",
        "{file: ../good/key.txt}",
        "{file: link.txt}",
        "{file: folder/key.txt}",
        "{file: ../../policies/kept.txt}",
        "{file: ../../policies/lent/../kept.txt}",
        "{file: /etc/passwd}",
    ] {
        assert_eq!(field.publish(&with(source)), Outcome::Rejected, "{source}");
        field.good_is_served().await;
    }
    std::fs::remove_file(field.root().join("routes/hostile/link.txt")).unwrap();
    std::fs::remove_file(field.root().join("routes/hostile/folder")).unwrap();
    // What was granted works.
    for (source, value) in
        [("{file: ../../policies/lent/lent.txt}", "lent-to-hostile"), ("{env: HOSTILE_KEY}", "own-key")]
    {
        assert_eq!(field.publish(&with(source)), Outcome::Applied, "{source}");
        get(field.address, "/own/a").await;
        assert_eq!(field.hostile.seen().last().unwrap().headers["x-took"], value);
    }
    // A file of its own becomes a link to the other's after it was checked.
    write(field.root(), "routes/hostile/mine.txt", "mine");
    assert_eq!(field.publish(&with("{file: mine.txt}")), Outcome::Applied);
    let mine = field.root().join("routes/hostile/mine.txt");
    for target in ["routes/good/key.txt", "policies/kept.txt"] {
        std::fs::remove_file(&mine).unwrap();
        symlink(field.root().join(target), &mine).unwrap();
        assert_ne!(field.running.reload(), Some(Outcome::Applied), "{target}");
        let got = get(field.address, "/own/a").await;
        // Whoever serves on serves with what was read while it was there.
        assert_eq!(field.hostile.seen().last().unwrap().headers["x-took"], "mine", "{target}");
        field.nothing_leaked(&[got]);
        field.good_is_served().await;
    }
    // What looks like a secret in an answer's body is text, here as elsewhere.
    let tell = "respond: {body: {a: '{file: ../good/key.txt}', b: {env: GOOD_KEY}}}";
    assert_eq!(field.publish(&[to_own(tell)]), Outcome::Applied);
    let got = get(field.address, "/own/a").await;
    assert_eq!(got.text(), r#"{"a":"{file: ../good/key.txt}","b":{"env":"GOOD_KEY"}}"#);
    field.nothing_leaked(&[got]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_unit_reaches_neither_what_it_was_not_granted_nor_admin_nor_metadata() {
    // Somebody else's host, by a variable that it may read but whose host it may not reach.
    let elsewhere = Origin::json("{}").await;
    let url = format!("http://127.0.0.1:{}", elsewhere.address.port());
    let field = Field::start("egress: [localhost], secrets: [HOSTILE_*]", &[("HOSTILE_URL", &url)]).await;
    let by_variable = "apiVersion: segue/v1\nkind: Service\nmetadata: {name: own, owner: team}\nendpoints: [{url: {env: HOSTILE_URL}}]\n";
    let documents = [by_variable.to_owned(), to_own("proxy: {service: own}")];
    assert_eq!(field.publish(&documents), Outcome::Rejected);
    get(field.address, "/own/a").await;
    assert_eq!(elsewhere.seen().len(), 0);
    drop(field);

    // Granted every address there is, it reaches none that the gateway forbids.
    let field = Field::start("egress: [localhost, 0.0.0.0/0, '::/0']", &[]).await;
    let port = field.admin.port();
    let mut answers = Vec::new();
    let mut tried = 0;
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[::ffff:7f00:1]:{port}"),
        format!("[::127.0.0.1]:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f000001:{port}"),
        format!("0177.0.0.1:{port}"),
        format!("127.0.0.1:{}", field.address.port()),
        "169.254.169.254".to_owned(),
        "169.254.43518".to_owned(),
        "2852039166".to_owned(),
        "0xa9fea9fe".to_owned(),
        "[::ffff:169.254.169.254]".to_owned(),
        "[fe80::a9fe:a9fe]".to_owned(),
        "[fd00:ec2::254]".to_owned(),
        "[64:ff9b::a9fe:a9fe]".to_owned(),
        "100.100.100.200".to_owned(),
    ] {
        let own = format!(
            "apiVersion: segue/v1\nkind: Service\nmetadata: {{name: own, owner: team}}\nendpoints: [{{url: 'http://{host}'}}]\nconnectTimeout: 1s\n"
        );
        for end in [
            "proxy: {service: own, path: /metrics}",
            "steps: {s: {http: {service: own, path: /metrics}}}\nrespond: {body: '${ steps.s.body }'}",
        ] {
            if field.publish(&[own.clone(), to_own(end)]) == Outcome::Rejected {
                continue;
            }
            let got = get(field.address, "/own/a").await;
            assert_eq!(got.status, 502, "{host} {end}: {got:?}");
            assert_eq!(got.json()["code"], "upstream_unreachable", "{host}: {got:?}");
            answers.push(got);
            tried += 1;
        }
        field.good_is_served().await;
    }
    assert!(tried >= 20, "{tried}");

    // Nor does a service lead there: a redirect is an answer like any other.
    let to_admin = format!("http://{}/metrics", field.admin);
    let leads = Origin::start(move |_| {
        let mut answer = json("{}");
        *answer.status_mut() = http::StatusCode::FOUND;
        answer.headers_mut().insert("location", to_admin.parse().unwrap());
        std::future::ready(answer)
    })
    .await;
    let own = service("own", leads.address, "");
    for (end, status) in [
        ("proxy: {service: own}", 302),
        ("steps: {s: {http: {service: own, path: /}}}\nrespond: {body: '${ steps.s.body }'}", 502),
    ] {
        assert_eq!(field.publish(&[own.clone(), to_own(end)]), Outcome::Applied);
        let got = get(field.address, "/own/a").await;
        assert_eq!(got.status, status);
        answers.push(got);
    }
    field.nothing_leaked(&answers);
    // The page is there for those who may see it.
    assert!(get(field.admin, "/metrics").await.text().contains("segue_generation"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_template_of_a_hostile_unit_brings_another_down() {
    let field = Field::start("egress: [127.0.0.1]", &[]).await;
    let own = service("own", field.hostile.address, "");
    let anchors: String = (1..12)
        .map(|level| format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(9)))
        .collect();
    let steps: String =
        (0..200).map(|index| format!("  s{index}: {{http: {{service: own, path: /}}}}\n")).collect();
    for broken in [
        "not: [closed".to_owned(),
        "\u{0}\u{1}".to_owned(),
        "{".repeat(100_000),
        "[".repeat(100_000),
        format!("apiVersion: segue/v1\na0: &a0 x\n{anchors}"),
        "a: &a [*a]".to_owned(),
        to_own(&format!("respond: {{body: '${{ {} }}'}}", "(".repeat(5_000))),
        to_own(&format!("respond: {{body: '${{ {}1 }}'}}", "1 + ".repeat(50_000))),
        to_own(
            "steps:\n  a: {http: {service: own, path: '/${ steps.b.body }'}}\n  b: {http: {service: own, path: '/${ steps.a.body }'}}\nrespond: {body: 1}",
        ),
        to_own(&format!("steps:\n{steps}respond: {{body: 1}}")),
        to_own("policies: [none]\nrespond: {body: 1}"),
        "apiVersion: segue/v1\nkind: Policy\nmetadata: {name: p, owner: h}\n".to_owned(),
    ] {
        let start: String = broken.chars().take(60).collect();
        assert_eq!(field.publish(&[own.clone(), broken]), Outcome::Rejected, "{start}");
        field.good_is_served().await;
    }
    // What fails only when it is asked for fails alone, however much it would cost.
    let many = "[0,1,2,3,4,5,6,7,8,9]";
    let nested = format!(
        "{many}.map(a, {many}.map(b, {many}.map(c, {many}.map(d, {many}.map(e, {many}.map(f, a+b+c+d+e+f))))))"
    );
    for (end, status, code) in [
        (format!("respond: {{body: '${{ {nested} }}'}}"), 500, "expression_budget"),
        (
            "respond: {body: '${ 1 / (size(request.method) - size(request.method)) }'}".to_owned(),
            500,
            "expression_error",
        ),
        ("respond: {body: '${ request.query.none }'}".to_owned(), 500, "expression_error"),
        (
            "steps: {s: {http: {service: gone, path: /}}}\nrespond: {body: '${ steps.s.body }'}".to_owned(),
            502,
            "upstream_unreachable",
        ),
    ] {
        let gone = service("gone", "127.0.0.1:1".parse().unwrap(), "");
        assert_eq!(field.publish(&[own.clone(), gone, to_own(&end)]), Outcome::Applied, "{end}");
        let flood: Vec<_> = (0..20).map(|_| tokio::spawn(get(field.address, "/own/a"))).collect();
        field.good_is_served().await;
        for got in flood {
            let got = got.await.unwrap();
            assert_eq!((got.status.as_u16(), got.json()["code"].as_str()), (status, Some(code)), "{end}");
        }
        field.good_is_served().await;
    }
    // Nor do bodies that its route reads.
    let read = to_own("respond: {body: '${ request.body }'}");
    field.publish(&[read]);
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (body, status) in [(deep, 400), ("x".repeat(2 << 20), 413), ("{\"a\":1,\"a\":2}".to_owned(), 400)] {
        let request = Request::post("/own/a").header("content-type", "application/json");
        let got = send(field.address, request.body(Full::new(Bytes::from(body))).unwrap()).await;
        assert!(got.status == status || got.status == 200, "{got:?}");
        field.good_is_served().await;
    }
}
