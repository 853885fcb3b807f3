#!/usr/bin/env python3
"""What TLS costs: CPU of the gateway per request over kept connections, in the clear and over TLS, per full and per
resumed handshake, and how long a request waits while strangers shake hands without end.

    cargo build --profile dist --locked
    python3 benches/tls.py
    python3 benches/tls.py --binary target/release/segue --seconds 5

Needs wrk and openssl (Debian names). Everything is on loopback and ends by itself, after about half a minute. The
route is `static`, so that as little else as possible is counted; the gateway has one worker.
"""

import argparse
import contextlib
import os
import pathlib
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
REQUEST = b"GET /here HTTP/1.1\r\nhost: localhost\r\n\r\n"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def write_tree(folder, clear, secure, admin):
    (folder / "policies").mkdir()
    (folder / "routes" / "bench").mkdir(parents=True)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(folder / "policies" / "edge.key"), "-out", str(folder / "policies" / "edge.pem")]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    (folder / "policies" / "gateway.yaml").write_text(f"""\
apiVersion: segue/v1
kind: Gateway
metadata: {{name: edge, owner: bench}}
listeners:
  - {{name: http, address: "127.0.0.1:{clear}"}}
  - {{name: https, address: "127.0.0.1:{secure}", tls: {{certificates: [{{cert: edge.pem, key: edge.key}}]}}}}
admin: {{address: "127.0.0.1:{admin}"}}
workers: 1
""")
    (folder / "routes" / "bench" / "all.yaml").write_text("""\
apiVersion: segue/v1
kind: Route
metadata: {name: here, owner: bench}
match: {path: /here}
static: {status: 200, body: {here: true}}
""")


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def wait_ready(admin):
    for _ in range(200):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=1)
            return
        time.sleep(0.05)
    raise SystemExit("the gateway did not start")


def load(pid, url, seconds):
    """CPU microseconds per request under wrk."""
    before = cpu(pid)
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(said)
    return (cpu(pid) - before) / int(re.search(r"(\d+) requests in", said).group(1)) * 1e6


def handshakes(pid, port, seconds, resume, version):
    """CPU microseconds per connection with one request."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    session, count, resumed = None, 0, 0
    before, end = cpu(pid), time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            # The request follows the handshake's last message at once.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(raw, server_hostname="localhost", session=session) as connection:
                connection.sendall(REQUEST)
                connection.recv(4096)
                resumed += connection.session_reused
                session = connection.session if resume else None
        count += 1
    if resume and resumed < count - 1:
        raise SystemExit(f"{resumed} of {count} were resumed")
    return (cpu(pid) - before) / count * 1e6


def probe(port, seconds):
    """Milliseconds that a small request takes, asked again and again on one connection in the clear."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.perf_counter()
            connection.sendall(REQUEST)
            if not connection.recv(4096):
                raise SystemExit("the probe was cut")
            times.append((time.perf_counter() - start) * 1e3)
            time.sleep(0.002)
    times.sort()
    return statistics.median(times), times[len(times) * 99 // 100], times[-1]


def flood(port, seconds):
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds + 2)]
    return [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(8)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "target" / "dist" / "segue"))
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        clear, secure, admin = free_port(), free_port(), free_port()
        write_tree(folder, clear, secure, admin)
        command = [options.binary, "serve", "--config", str(folder)]
        gateway = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            wait_ready(admin)
            urls = {"in the clear": f"http://127.0.0.1:{clear}/here", "over TLS": f"https://127.0.0.1:{secure}/here"}
            found = {what: [] for what in urls}
            for _ in range(3):
                for what, url in urls.items():
                    found[what].append(load(gateway.pid, url, options.seconds))
            print("CPU of the gateway, microseconds")
            for what, each in found.items():
                print(f"  a request on a kept connection, {what:14} {statistics.median(each):8.2f}")
            ratio = statistics.median(found["over TLS"]) / statistics.median(found["in the clear"])
            print(f"  {'ratio':46} {ratio:8.2f}")
            for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
                for resume in (False, True):
                    each = handshakes(gateway.pid, secure, options.seconds, resume, version)
                    what = f"a connection, {'resumed' if resume else 'full'}, {version.name}, and one request"
                    print(f"  {what:46} {each:8.2f}")
            print("a request in the clear, milliseconds                 median      p99     most")
            for what in ("alone", "while eight clients shake hands without end"):
                strangers = [] if what == "alone" else flood(secure, options.seconds)
                try:
                    time.sleep(0.5)
                    median, p99, most = probe(clear, options.seconds)
                finally:
                    for stranger in strangers:
                        stranger.kill()
                        stranger.wait()
                print(f"  {what:48} {median:8.2f} {p99:8.2f} {most:8.2f}")
        finally:
            gateway.terminate()
            gateway.wait(timeout=40)
    sys.exit(0)


if __name__ == "__main__":
    main()
