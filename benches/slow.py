#!/usr/bin/env python3
"""Slow clients against a gateway with shipped defaults.

One kind after another: clients that send their head slowly, their body slowly, or read nothing of a
large answer. All must be cut within 35 seconds, and a probe that asks for a small answer ten times a
second must be served all the while. Clients, probe and origin are processes of their own; everything is
on loopback and ends by itself. Prints one JSON object; exits with 1 if the verdict is not ok.

    cargo build --release
    python3 benches/slow.py --binary target/release/segue
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import pathlib
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

WITHIN = 35.0
"""Seconds after which a client that is still connected is a failure."""
GIVE_UP = 75.0
LARGE = 16 * 1024 * 1024

HEAD = b"Host: bench\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n"
KINDS = {
    # What is sent first, what after that, and every how many seconds.
    "head": ([b"GET /probe HTTP/1.1\r\nHost: bench\r\n"], b"X-Slow: 1\r\n", 3.0),
    "body": ([b"POST /read HTTP/1.1\r\n" + HEAD + b"{", b"POST /pass HTTP/1.1\r\n" + HEAD + b"{"], b" ", 1.0),
    "read": ([b"GET /large HTTP/1.1\r\nHost: bench\r\n\r\n"], b"", 0.0),
}

GATEWAY = """apiVersion: segue/v1
kind: Gateway
metadata: {{name: edge, owner: bench}}
listeners: [{{name: http, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
"""
ROUTES = """apiVersion: segue/v1
kind: Service
metadata: {{name: origin, owner: bench}}
endpoints: [{{url: "http://127.0.0.1:{origin}"}}]
limits: {{inFlight: 10000}}
timeout: 30s
connectTimeout: 10s
---
apiVersion: segue/v1
kind: Route
metadata: {{name: probe, owner: bench, version: 1.0.0}}
match: {{path: /probe}}
static: {{status: 200, body: {{ok: true}}}}
---
apiVersion: segue/v1
kind: Route
metadata: {{name: read, owner: bench, version: 1.0.0}}
match: {{path: /read, methods: [POST]}}
respond: {{body: {{got: "${{ request.body.value }}"}}}}
---
apiVersion: segue/v1
kind: Route
metadata: {{name: pass, owner: bench, version: 1.0.0}}
match: {{path: /pass, methods: [POST]}}
proxy: {{service: origin}}
---
apiVersion: segue/v1
kind: Route
metadata: {{name: large, owner: bench, version: 1.0.0}}
match: {{path: /large}}
proxy: {{service: origin}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def origin(ready):
    """Answers every request with a large body, once the request's own has come."""
    piece = bytes(64 * 1024)

    async def answer(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LARGE)
                for _ in range(LARGE // len(piece)):
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def serve():
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        # Connections inherit it. Else the kernel holds megabytes for each, which is not what is measured.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        server = await asyncio.start_server(answer, sock=listener)
        ready.send(server.sockets[0].getsockname()[1])
        async with server:
            await asyncio.sleep(600)

    raise_limit()
    asyncio.run(serve())


def probe(port, stop, result):
    """Asks ten times a second on a connection of its own each time."""
    times, failed = [], []
    while not stop.is_set():
        begun = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(b"GET /probe HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if not client.recv(4096).startswith(b"HTTP/1.1 200"):
                    failed.append("not a 200")
        except OSError as error:
            failed.append(str(error))
        times.append(time.monotonic() - begun)
        stop.wait(0.1)
    times.sort()
    milliseconds = lambda share: round(1000 * times[min(len(times) - 1, int(share * len(times)))], 1)
    result.send({
        "asked": len(times),
        "failed": len(failed),
        "first_failures": failed[:3],
        "p50_ms": milliseconds(0.5),
        "p99_ms": milliseconds(0.99),
        "max_ms": milliseconds(1),
    })


def crowd(port, kind, count, result):
    """Connects, goes slow, and waits until every connection was cut."""
    raise_limit()
    first, drip, every = KINDS[kind]
    poll = select.epoll()
    clients, ends = {}, []
    for index in range(count):
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
        client.sendall(first[index % len(first)])
        client.setblocking(False)
        # Who reads nothing learns of a reset, or of an end, all the same.
        poll.register(client.fileno(), select.EPOLLRDHUP if kind == "read" else select.EPOLLIN)
        clients[client.fileno()] = (client, time.monotonic())
        # Some 500 a second: the origin is Python and shares the machine.
        time.sleep(0.002)
    connected, answered = time.monotonic(), 0

    def cut(number):
        client, begun = clients.pop(number)
        poll.unregister(number)
        client.close()
        ends.append(time.monotonic() - begun)

    due = time.monotonic() + every
    while clients and time.monotonic() - connected < GIVE_UP:
        for number, event in poll.poll(0.05):
            if event & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                cut(number)
            elif event:
                try:
                    got = clients[number][0].recv(65536)
                except BlockingIOError:
                    continue
                except OSError:
                    got = b""
                answered += got.startswith(b"HTTP/1.1 408")
                if not got:
                    cut(number)
        if every and time.monotonic() >= due:
            due += every
            for number in list(clients):
                try:
                    clients[number][0].send(drip)
                except BlockingIOError:
                    pass
                except OSError:
                    cut(number)
    ends.sort()
    result.send({
        "clients": count,
        "cut": len(ends),
        "answered_408": answered,
        "first_cut_s": round(ends[0], 1) if ends else None,
        "last_cut_s": round(ends[-1], 1) if ends else None,
    })


def raise_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def status(process, field):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/segue")
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    given = parser.parse_args()
    here, there = multiprocessing.Pipe()
    source = multiprocessing.Process(target=origin, args=(there,), daemon=True)
    source.start()
    port, admin = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        for path, text in [
            ("policies/gateway.yaml", GATEWAY.format(port=port, admin=admin)),
            ("routes/bench/all.yaml", ROUTES.format(origin=here.recv())),
        ]:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
        gateway = subprocess.Popen(
            [os.path.abspath(given.binary), "serve", "--config", folder], stderr=subprocess.DEVNULL
        )
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            report = {"within_s": WITHIN, "kinds": {}}
            for kind in given.kinds:
                stop, ask, tell = multiprocessing.Event(), multiprocessing.Pipe(), multiprocessing.Pipe()
                prober = multiprocessing.Process(target=probe, args=(port, stop, ask[1]), daemon=True)
                slow = multiprocessing.Process(target=crowd, args=(port, kind, given.clients, tell[1]), daemon=True)
                prober.start()
                slow.start()
                found = tell[0].recv()
                stop.set()
                found["probe"] = ask[0].recv()
                found["gateway_rss_mib"] = round(status(gateway, "VmRSS:") / 1024, 1)
                in_time = found["cut"] == found["clients"] and found["last_cut_s"] <= WITHIN
                found["ok"] = in_time and found["probe"]["failed"] == 0
                report["kinds"][kind] = found
                slow.join()
                prober.join()
            report["gateway_peak_rss_mib"] = round(status(gateway, "VmHWM:") / 1024, 1)
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(timeout=40)
            source.terminate()
    report["ok"] = all(kind["ok"] for kind in report["kinds"].values())
    print(json.dumps(report, indent=2))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
