//! More clients than the gateway takes, and fewer file descriptors than it wants.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use segue::{serve, upstream::secret::Process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

use crate::support::{
    client::get,
    gateway::{GATEWAY, Gateway, route, service, write},
    origin::{Origin, json},
};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn ask(client: &mut TcpStream) -> String {
    client.write_all(ASK).await.unwrap();
    read(client).await
}

async fn read(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_most_connections_a_client_waits_until_another_leaves() {
    let gateway = Gateway::start_with(
        &GATEWAY.replace("workers: 2", "workers: 2\nlimits: {maxConnections: 2}"),
        &[route("r", "match: {path: /}\nstatic: {status: 204}")],
    );
    let mut first = TcpStream::connect(gateway.address).await.unwrap();
    let mut second = TcpStream::connect(gateway.address).await.unwrap();
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 204"));
    assert!(ask(&mut second).await.starts_with("HTTP/1.1 204"));
    let mut third = TcpStream::connect(gateway.address).await.unwrap();
    third.write_all(ASK).await.unwrap();
    for _ in 0..100 {
        assert!(ask(&mut first).await.starts_with("HTTP/1.1 204"));
        assert!(ask(&mut second).await.starts_with("HTTP/1.1 204"));
    }
    let early = third.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(get(gateway.admin, "/readyz").await.status, 200);
    drop(first);
    assert!(read(&mut third).await.starts_with("HTTP/1.1 204"));
}

/// Says where a gateway in a process of its own is to be found.
const ROOT: &str = "SEGUE_TEST_ROOT";

/// A gateway as a process of its own, so that its limits are its own too; ended when dropped.
struct Served {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What that process runs.
#[test]
#[ignore = "other tests run it, as a process of its own"]
fn child() {
    let Some(root) = std::env::var_os(ROOT).map(std::path::PathBuf::from) else { return };
    let sources = Arc::new(Process::new(&root));
    let running = serve::start(serve::Options { root, sources, signals: false }).unwrap();
    println!("serving {} {}", running.listeners[0].1, running.admin.unwrap());
    running.wait().unwrap();
}

/// Starts it with no more file descriptors than these.
fn serve_with_descriptors(root: &Path, descriptors: u32, more: &str) -> Served {
    write(root, "policies/gateway.yaml", &GATEWAY.replace("workers: 2\n", more));
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "crowded::child", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.into_iter().find(|line| line.contains("serving ")).expect("it did not start");
    let mut addresses = line.rsplit(' ').map(|address| address.parse().unwrap());
    let (admin, address) = (addresses.next().unwrap(), addresses.next().unwrap());
    Served { child, address, admin }
}

/// CPU time of a process so far, in ticks of 10 ms (proc(5): fields 14 and 15).
fn cpu(served: &Served) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn starved_of_descriptors_it_does_not_spin_its_admin_answers_and_it_recovers() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "routes/a/r.yaml", &route("r", "match: {path: /}\nstatic: {status: 204}"));
    let limits = "limits: {headerTimeout: 500ms}\nworkers: 2\n";
    let served = serve_with_descriptors(folder.path(), 256, limits);
    let before = cpu(&served);
    let mut crowd = Vec::new();
    for _ in 0..300 {
        let mut client = TcpStream::connect(served.address).await.unwrap();
        client.write_all(b"GET / HT").await.unwrap();
        crowd.push(client);
    }
    assert_eq!(get(served.admin, "/healthz").await.status, 200);
    // Behind the whole crowd, each of which is cut by its own time.
    let mut last = TcpStream::connect(served.address).await.unwrap();
    assert!(ask(&mut last).await.starts_with("HTTP/1.1 204"));
    let spent = cpu(&served) - before;
    // Two threads that spin for the time this takes would need some 300.
    assert!(spent < 60, "{spent} ticks of CPU");
    assert_eq!(get(served.admin, "/healthz").await.status, 200);
    drop(crowd);
    assert_eq!(get(served.address, "/").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_descriptor_is_the_gateways_fault() {
    let folder = tempfile::tempdir().unwrap();
    let go = Arc::new(Semaphore::new(0));
    let arrived = Arc::new(AtomicUsize::new(0));
    let (gate, count) = (Arc::clone(&go), Arc::clone(&arrived));
    let origin = Origin::start(move |_| {
        let gate = Arc::clone(&gate);
        count.fetch_add(1, SeqCst);
        async move {
            let _ = gate.acquire().await;
            json("{}")
        }
    })
    .await;
    let step = |n: u8| format!("  s{n}: {{http: {{service: back, path: /{n}}}}}\n");
    let steps: String = (0..4).map(step).collect();
    let body = "respond: {body: ['${ steps.s0.body }', '${ steps.s1.body }', '${ steps.s2.body }', '${ steps.s3.body }']}";
    write(
        folder.path(),
        "routes/a/r.yaml",
        &[
            service("back", origin.address, ""),
            route("r", &format!("match: {{path: /}}\nsteps:\n{steps}{body}")),
        ]
        .join("---\n"),
    );
    let served = serve_with_descriptors(folder.path(), 200, "workers: 1");
    let address = served.address;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..40 {
        requests.spawn(async move { get(address, "/").await });
    }
    // Those that find no descriptor left are answered at once, the others when the origin lets them.
    let refused = requests.join_next().await.unwrap().unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["code"], "overloaded");
    assert_eq!(get(served.admin, "/healthz").await.status, 200);
    go.add_permits(100_000);
    let mut answered = 0;
    while let Some(got) = requests.join_next().await {
        let got = got.unwrap();
        assert!(matches!(got.status.as_u16(), 200 | 503), "{}", got.text());
        answered += usize::from(got.status == 200);
    }
    assert!(answered > 0 && arrived.load(SeqCst) >= 4 * answered);
    assert_eq!(get(address, "/").await.status, 200);
    let metrics = get(served.admin, "/metrics").await;
    assert!(metrics.text().contains("segue_upstream_failures_total{service=\"a/back\"} 0\n"));
}
