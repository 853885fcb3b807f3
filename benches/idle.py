#!/usr/bin/env python3
"""What an idle connection costs: resident memory of the gateway for each of many of them.

    cargo build --profile dist --locked
    python3 benches/idle.py                   9 000 connections
    python3 benches/idle.py --tls             the same over TLS; needs the `openssl` command
    python3 benches/idle.py --tls --http2     the same over HTTP/2
    python3 benches/idle.py --connections 2000 --binary target/debug/segue

Opens the connections from this process (the gateway is another one, so that each has file descriptors enough:
the gateway gives half of its `ulimit -n` to clients, so the limit must be above twice the number), and reads the gateway's resident memory with all of
them open and nothing asked; after one request on each, at once and once they have been idle for some seconds; and
after they are closed. Fails if an idle connection costs more than `--most` KiB, or if the memory does not
come back. Everything is on loopback and ends by itself, after about half a minute.
"""

import argparse
import contextlib
import pathlib
import resource
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUEST = b"GET /here HTTP/1.1\r\nhost: bench\r\naccept: */*\r\nuser-agent: idle\r\n\r\n"
# Longer than what a connection has to be idle for before it is put aside.
QUIET = 8


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def make_certificate(folder):
    """A key of P-256 and its certificate, for this run."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(folder / "edge.key"), "-out", str(folder / "edge.pem")]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def write_tree(folder, port, admin, tls):
    (folder / "policies").mkdir()
    (folder / "routes" / "idle").mkdir(parents=True)
    if tls:
        make_certificate(folder / "policies")
        secure = ", tls: {certificates: [{cert: edge.pem, key: edge.key}]}"
    else:
        secure = ""
    (folder / "policies" / "gateway.yaml").write_text(f"""\
apiVersion: segue/v1
kind: Gateway
metadata: {{name: edge, owner: idle}}
listeners: [{{name: http, address: "127.0.0.1:{port}"{secure}}}]
admin: {{address: "127.0.0.1:{admin}"}}
limits: {{headerTimeout: 120s, idleTimeout: 300s}}
workers: 2
""")
    (folder / "routes" / "idle" / "all.yaml").write_text("""\
apiVersion: segue/v1
kind: Route
metadata: {name: here, owner: idle}
match: {path: /here}
static: {status: 200, body: {here: true}}
""")


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SystemExit("the gateway is gone")


def wait_ready(admin):
    for _ in range(200):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=1)
            return
        time.sleep(0.05)
    raise SystemExit("the gateway did not start")


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def http2(stream):
    """The request as the first (1) or a later stream of a connection of HTTP/2."""
    # GET and https from the static table, path and authority as literals (RFC 7541).
    block = b"\x82\x87\x04\x05/here\x01\x09localhost"
    headers = frame(1, 0x5, stream, block)
    if stream > 1:
        return headers
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(4, 1, 0, b"") + headers


def connect(port, count, context):
    def one():
        connection = socket.create_connection(("127.0.0.1", port))
        return context.wrap_socket(connection, server_hostname="localhost") if context else connection

    return [one() for _ in range(count)]


def context_for(folder, version, protocol):
    """What clients connect with: one for all, as one program has it."""
    context = ssl.create_default_context(cafile=str(folder / "policies" / "edge.pem"))
    context.set_alpn_protocols([protocol])
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def ask(connections, request=REQUEST):
    """One request on each, a few hundred at a time, so that the gateway's peak is not what is measured."""
    for start in range(0, len(connections), 200):
        batch = connections[start : start + 200]
        for connection in batch:
            connection.sendall(request)
        with selectors.DefaultSelector() as selector:
            for connection in batch:
                selector.register(connection, selectors.EVENT_READ, bytearray())
            open_yet = len(batch)
            while open_yet:
                ready = selector.select(timeout=10)
                if not ready:
                    raise SystemExit("an answer did not come")
                for key, _ in ready:
                    part = key.fileobj.recv(4096)
                    if not part:
                        raise SystemExit("a connection was closed")
                    key.data.extend(part)
                    if b'{"here":true}' in key.data:
                        selector.unregister(key.fileobj)
                        open_yet -= 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "target" / "dist" / "segue"))
    parser.add_argument("--connections", type=int, default=9_000)
    parser.add_argument("--most", type=float, help="KiB that an idle connection may cost (24; over HTTP/2 48)")
    parser.add_argument("--tls", nargs="?", const="1.3", choices=["1.2", "1.3"], help="over TLS, of this version (1.3)")
    parser.add_argument("--http2", action="store_true", help="ask by HTTP/2")
    options = parser.parse_args()
    # The buffers of the HTTP/2 codec (16 KiB to write, 8 KiB to read) stay as long as the connection.
    options.most = options.most or (48.0 if options.http2 else 24.0)
    first, later = (http2(1), http2(3)) if options.http2 else (REQUEST, REQUEST)
    needed = 2 * options.connections + 500
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SystemExit(f"{needed} file descriptors are needed, and the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else hard, hard))

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        port, admin = free_port(), free_port()
        write_tree(folder, port, admin, options.tls)
        versions = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
        context = context_for(folder, versions[options.tls], "h2" if options.http2 else "http/1.1") if options.tls else None
        command = [options.binary, "serve", "--config", str(folder)]
        gateway = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            wait_ready(admin)
            # What every process has once and keeps.
            warm = connect(port, 200, context)
            ask(warm, first)
            for connection in warm:
                connection.close()
            time.sleep(1)
            base = resident(gateway.pid)
            print(f"{'resident memory':40} {'KiB':>9} {'KiB each':>9}")

            def report(what):
                now = resident(gateway.pid)
                each = (now - base) / options.connections
                print(f"{what:40} {now:9} {each:9.2f}", flush=True)
                return now, each

            report("before")
            connections = connect(port, options.connections, context)
            time.sleep(QUIET)
            _, silent = report("open, nothing asked")
            ask(connections, first)
            report("after one request each, at once")
            time.sleep(QUIET)
            _, idle = report(f"after one request each, {QUIET} s later")
            ask(connections, later)
            time.sleep(QUIET)
            _, again = report(f"after another one each, {QUIET} s later")
            for connection in connections:
                connection.close()
            time.sleep(3)
            closed, _ = report("closed")
        finally:
            gateway.terminate()
            gateway.wait(timeout=20)
    wrong = [f"an idle connection costs {each:.1f} KiB" for each in (silent, idle, again) if each > options.most]
    if closed > base * 1.3 + 1024:
        wrong.append(f"{closed - base} KiB did not come back")
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
