#!/usr/bin/env python3
"""Promises that take a whole process to show: constant memory, reloads that lose nothing, cheap waiting.

    cargo build --profile dist --locked
    python3 benches/soak.py stream            1 GiB down and 1 GiB up through a proxy route
    python3 benches/soak.py reload            100 reloads of the whole tree under wrk
    python3 benches/soak.py inflight          memory per request that waits for its upstreams

`stream` prints the gateway's resident memory before and its highest while the bytes pass. `reload`
rewrites the tree 100 times while wrk keeps 64 connections busy on a proxied and on a composed route, and
fails if any request failed. `inflight` lets 300 requests wait at once, each on a connection that was used
before: proxied ones with one call each, then composed ones with three, and prints what a waiting request
takes, its new upstream connections included. Everything is on loopback and ends by itself. `reload` needs wrk.
"""

import argparse
import contextlib
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
GIB = 1 << 30
CHUNK = bytes(1 << 16)
# Until then the origin holds its answers to GET /hold back.
RELEASED = threading.Event()
WAITING = 300


def origin():
    """Answers GET /big with 1 GiB, GET /hold when told to, any other GET with a little JSON, and counts what is posted."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            reader = connection.makefile("rb", buffering=1 << 16)
            while line := reader.readline():
                length = 0
                while (field := reader.readline()) not in (b"\r\n", b""):
                    if field.lower().startswith(b"content-length:"):
                        length = int(field.split(b":")[1])
                if line.startswith(b"GET /hold"):
                    RELEASED.wait(60)
                if line.startswith(b"GET /big"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % GIB)
                    for _ in range(GIB // len(CHUNK)):
                        connection.sendall(CHUNK)
                    continue
                left = length
                while left:
                    left -= len(reader.read(min(left, len(CHUNK))))
                body = b'{"got":%d}' % length
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                connection.sendall(head % len(body) + body)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def write_tree(folder, upstream, version):
    """The tree's routes; the version is in the composed answer, so every rewrite is a change."""
    new = folder / "routes" / ".soak.new"
    new.write_text(f"""\
apiVersion: segue/v1
kind: Service
metadata: {{name: origin, owner: soak}}
endpoints: [{{url: "http://127.0.0.1:{upstream}"}}]
timeout: 60s
---
apiVersion: segue/v1
kind: Route
metadata: {{name: pass, owner: soak}}
match: {{path: "/pass/{{rest...}}"}}
timeout: 60s
proxy: {{service: origin, path: "/${{ request.path.rest }}"}}
---
apiVersion: segue/v1
kind: Route
metadata: {{name: made, owner: soak}}
match: {{methods: [GET], path: /made}}
steps:
  one: {{http: {{service: origin, path: /}}}}
respond: {{body: {{got: "${{ steps.one.body.got }}", version: {version}}}}}
---
apiVersion: segue/v1
kind: Route
metadata: {{name: held, owner: soak}}
match: {{methods: [GET], path: /held}}
steps:
  one: {{http: {{service: origin, path: /hold}}}}
  two: {{http: {{service: origin, path: /hold}}}}
  three: {{http: {{service: origin, path: /hold}}}}
respond: {{body: ["${{ steps.one.body }}", "${{ steps.two.body }}", "${{ steps.three.body }}"]}}
""")
    new.rename(folder / "routes" / "soak" / "all.yaml")


@contextlib.contextmanager
def gateway(segue):
    """A gateway on a tree of its own. Gives its folder, its port, its admin port, its process."""
    upstream, port, admin = origin(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "policies").mkdir()
        (folder / "routes" / "soak").mkdir(parents=True)
        (folder / "policies" / "gateway.yaml").write_text(
            "apiVersion: segue/v1\nkind: Gateway\nmetadata: {name: soak, owner: soak}\n"
            f'listeners: [{{name: http, address: "127.0.0.1:{port}"}}]\nadmin: {{address: "127.0.0.1:{admin}"}}\n'
        )
        write_tree(folder, upstream, 0)
        process = subprocess.Popen([segue, "serve", "--config", folder], stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", admin)):
                    break
                time.sleep(0.05)
            yield folder, upstream, port, admin, process
        finally:
            process.terminate()
            if process.wait(40) != 0:
                sys.exit(f"the gateway ended with {process.returncode}")


def memory(pid, field):
    """A figure of /proc/PID/status in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+)", status).group(1)) / 1024


def stream(segue):
    """Down and up, one after the other, and the highest memory that took."""
    with gateway(segue) as (_, _, port, _, process):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/pass/").read()
        before = memory(process.pid, "VmRSS")
        began = time.monotonic()
        received = 0
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/pass/big") as answer:
            while chunk := answer.read(1 << 16):
                received += len(chunk)
        down = time.monotonic() - began
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = f"POST /pass/up HTTP/1.1\r\nhost: soak\r\nconnection: close\r\ncontent-length: {GIB}\r\n\r\n"
            client.sendall(head.encode())
            for _ in range(GIB // len(CHUNK)):
                client.sendall(CHUNK)
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        up = time.monotonic() - began
        peak = memory(process.pid, "VmHWM")
    print(f"down {received} bytes in {down:.1f} s, up {GIB} bytes in {up:.1f} s")
    print(f"resident before {before:.1f} MiB, highest {peak:.1f} MiB")
    if received != GIB or not answer.endswith(b'{"got":%d}' % GIB):
        sys.exit("not everything arrived")
    if peak > before + 16:
        sys.exit("memory was not constant")


def reload(segue):
    """100 whole-tree reloads under load."""
    with gateway(segue) as (folder, upstream, port, admin, _):
        paths = ["/pass/", "/made"]
        load = [
            subprocess.Popen(
                ["wrk", "-t1", "-c32", "-d20s", f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, text=True
            )
            for path in paths
        ]
        time.sleep(1)
        began = time.monotonic()
        for version in range(1, 101):
            write_tree(folder, upstream, version)
            request = urllib.request.Request(f"http://127.0.0.1:{admin}/reload", method="POST")
            urllib.request.urlopen(request).read()
            time.sleep(0.12)
        took = time.monotonic() - began
        status = urllib.request.urlopen(f"http://127.0.0.1:{admin}/status").read()
        reports = [run.communicate()[0] for run in load]
    generation = int(re.search(rb'"generation":(\d+)', status).group(1))
    print(f"generation {generation} after {took:.1f} s")
    failed = generation < 101 or took > 19
    for path, report in zip(paths, reports):
        requests = int(re.search(r"(\d+) requests in", report).group(1))
        problems = re.findall(r"(?:Non-2xx or 3xx responses|Socket errors).*", report)
        print(f"{path}: {requests} requests, {'; '.join(problems) or 'none failed'}")
        failed |= bool(problems)
    if failed:
        sys.exit("requests were lost, or not every reload applied while the load ran")


def inflight(segue):
    """What a request takes while it waits."""
    failed = False
    for path, calls in (("/pass/hold", 1), ("/held", 3)):
        RELEASED.clear()
        # A gateway of its own: what an earlier load took and gave back would be taken again.
        with gateway(segue) as (_, _, port, _, process):
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(WAITING)]
            for client in clients:
                client.sendall(b"GET /none HTTP/1.1\r\nhost: soak\r\n\r\n")
                client.recv(4096)
            before = memory(process.pid, "VmRSS")
            for client in clients:
                client.sendall(f"GET {path} HTTP/1.1\r\nhost: soak\r\n\r\n".encode())
            time.sleep(3)
            during = memory(process.pid, "VmRSS")
            RELEASED.set()
            answers = [client.recv(4096) for client in clients]
            for client in clients:
                client.close()
        answered = sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        each = (during - before) * 1024 / WAITING
        print(f"{path}: {WAITING} requests with {calls} call(s) each take {each:.1f} KiB per request")
        failed |= answered != WAITING
    if failed:
        sys.exit("not every request was answered")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("promise", choices=["stream", "reload", "inflight"])
    options.add_argument("--segue", default=ROOT / "target" / "dist" / "segue", metavar="PATH")
    chosen = options.parse_args()
    {"stream": stream, "reload": reload, "inflight": inflight}[chosen.promise](chosen.segue)


main()
