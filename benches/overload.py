#!/usr/bin/env python3
"""What a gateway does that is asked for more than it can: who is shed, who is served, and how it gets over it.

    cargo build --release && python3 benches/overload.py [PATH_OF_SEGUE]

One gateway with one worker, which has a core of its own where there are two, and routes that cost processor time and
nothing else. Clients with `low` priority come in far greater numbers than it can serve; a few with `high` priority go on
at a steady pace. Once for evaluations that the worker does itself, once for long ones that it gives to threads beside it,
once with memory that is used up. Each has three phases: calm, a flood, and after it. Fails unless

* in the flood `low` is shed, every refusal is 503 `overloaded` with `retry-after`, and of `high` less than a tenth is;
* answers to `high` come in time (MOST_LATE), and every request has an answer;
* two seconds after the flood nobody is shed any more.

Everything is on loopback, bounded in number and time, and ends by itself, after about a minute. Needs Python alone.
"""

import argparse
import asyncio
import contextlib
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOOD, STEADY, PAUSE = 400, 8, 0.05
# Seconds that the slowest of a hundred answers to `high` may take in a flood.
MOST_LATE = 1.5

GATEWAY = """apiVersion: segue/v1
kind: Gateway
metadata: {{name: edge, owner: it}}
listeners: [{{name: http, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
workers: 1
limits: {{maxConnections: 5000, memory: {memory}}}
"""
POLICY = """---
apiVersion: segue/v1
kind: Policy
metadata: {{name: {name}, owner: it}}
authenticate: {{anonymous: true}}
priority: {name}
"""
WORK = """apiVersion: segue/v1
kind: Composition
metadata: {{name: {kind}, owner: team}}
input: {{id: {{type: string, required: true}}}}
output: {{n: "${{ {expression} }}"}}
"""
ROUTE = """---
apiVersion: segue/v1
kind: Route
metadata: {{name: {name}-{kind}, owner: team}}
match: {{path: /{kind}/{name}}}
policies: [{name}]
timeout: 5s
steps:
{steps}
respond: {{body: {{n: "${{ {sum} }}"}}}}
"""
# What each of so many steps of a route evaluates: less than a worker gives away, or much more.
KINDS = {
    "worker": (24, "lists.range(150).map(a, a * 3 + size(input.id)).size()"),
    "beside": (1, "lists.range(9000).map(a, a * 3 + size(input.id)).size()"),
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def write(folder, port, admin, memory):
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    (folder / "routes/shop").mkdir(parents=True, exist_ok=True)
    policies = "".join(POLICY.format(name=name) for name in ("low", "high"))
    (folder / "policies/gateway.yaml").write_text(GATEWAY.format(port=port, admin=admin, memory=memory) + policies)
    documents = []
    for kind, (count, expression) in KINDS.items():
        documents.append(("---\n" if documents else "") + WORK.format(kind=kind, expression=expression))
        steps = "\n".join(f'  s{n}: {{compose: {kind}, with: {{id: "${{ request.id }}"}}}}' for n in range(count))
        sum = " + ".join(f"steps.s{n}.output.n" for n in range(count))
        documents += [ROUTE.format(name=name, kind=kind, steps=steps, sum=sum) for name in ("low", "high")]
    (folder / "routes/shop/routes.yaml").write_text("".join(documents))


class Seen:
    """What clients of one kind got."""

    def __init__(self):
        self.times, self.shed, self.wrong = [], 0, []

    def note(self, took, status, head, body):
        if status == 200:
            self.times.append(took)
        elif status == 503 and b"retry-after: 1" in head and b'"overloaded"' in body:
            self.shed += 1
        else:
            self.wrong.append((status, head[:200]))

    def p99(self):
        return sorted(self.times)[len(self.times) * 99 // 100] if self.times else float("inf")

    def line(self):
        middle = statistics.median(self.times) if self.times else float("nan")
        return f"{len(self.times):>7} served {self.shed:>7} shed   p50 {middle * 1000:7.1f} ms  p99 {self.p99() * 1000:7.1f} ms"


async def client(port, path, pause, until, seen, keep):
    """Asks again and again. One that is refused waits a little, as clients do that are told to."""
    request = f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()
    reader = writer = None
    while time.perf_counter() < until:
        began = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 10)
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await asyncio.wait_for(reader.readexactly(length), 15)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            seen.wrong.append((type(error).__name__, b""))
            writer = None
            continue
        status = int(head.split(b" ")[1])
        seen.note(time.perf_counter() - began, status, head.lower(), body)
        if b"connection: close" in head.lower() or not keep:
            writer.close()
            writer = None
        await asyncio.sleep(pause if status == 200 else max(pause, PAUSE))
    if writer:
        writer.close()


async def phase(port, kind, seconds, low, high):
    """So many clients of both priorities for so long."""
    until = time.perf_counter() + seconds
    seen = {"low": Seen(), "high": Seen()}
    # Those of `low` ask as soon as they have an answer, those of `high` at a steady pace.
    tasks = [client(port, f"/{kind}/low", 0 if low > STEADY else PAUSE, until, seen["low"], True) for _ in range(low)]
    tasks += [client(port, f"/{kind}/high", PAUSE, until, seen["high"], True) for _ in range(high)]
    await asyncio.gather(*tasks)
    return seen


def say(name, seen):
    for priority, one in seen.items():
        print(f"  {name:10} {priority:5} {one.line()}" + (f"  WRONG {len(one.wrong)}: {one.wrong[:2]}" if one.wrong else ""))


def judge(name, calm, flood, after):
    faults = []
    for which, seen in (("calm", calm), ("flood", flood), ("after", after)):
        faults += [f"{which}: {len(one.wrong)} answers to `{priority}` were wrong, or none" for priority, one in seen.items() if one.wrong]
    if calm["low"].shed or calm["high"].shed:
        faults.append("somebody was shed in calm")
    low, high = flood["low"], flood["high"]
    if not low.shed:
        faults.append("`low` was not shed in the flood")
    if high.shed * 10 > len(high.times):
        faults.append(f"`high` was shed in the flood: {high.shed} of {high.shed + len(high.times)}")
    if high.p99() > MOST_LATE:
        faults.append(f"`high` was late in the flood: {high.p99():.2f} s")
    if after["low"].shed or after["high"].shed:
        faults.append("somebody was shed after the flood")
    return [f"{name}: {fault}" for fault in faults]


def metric(admin, name):
    page = urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=5).read().decode()
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))


def reload(admin):
    request = urllib.request.Request(f"http://127.0.0.1:{admin}/reload", method="POST")
    assert urllib.request.urlopen(request, timeout=30).status == 200


def work(port, admin, kind, seconds):
    print(f"{kind}: {FLOOD} clients of `low`, {STEADY} of `high`")
    run = lambda seconds, low, high: asyncio.run(phase(port, kind, seconds, low, high))
    calm = run(2, 2, STEADY)
    say("calm", calm)
    flood = run(seconds, FLOOD, STEADY)
    say("flood", flood)
    time.sleep(2)
    after = run(2, 2, STEADY)
    say("after", after)
    return judge(kind, calm, flood, after)


def memory(folder, port, admin, pid):
    """A limit a little above what the process has: `low` is shed, `high` is not."""
    print("memory: a limit of which 86 % are used")
    faults = []
    # It grows and shrinks by some per cent meanwhile.
    hundredth = 80
    for _ in range(40):
        # What the gateway counts: memory of its own, without pages of files.
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        used = int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) * 1024
        write(folder, port, admin, f"{int(used * 100 / hundredth / 1024)}KiB")
        reload(admin)
        time.sleep(0.3)
        seen = asyncio.run(phase(port, "worker", 0.5, 2, 2))
        if seen["low"].shed and not seen["high"].shed:
            break
        hundredth += -1 if seen["high"].shed else 1
    say("short", seen)
    if not seen["low"].shed:
        faults.append("memory: `low` was not shed")
    if seen["high"].shed:
        faults.append("memory: `high` was shed beside `low`")
    write(folder, port, admin, "0B")
    reload(admin)
    time.sleep(0.3)
    seen = asyncio.run(phase(port, "worker", 1, 2, 2))
    say("after", seen)
    if seen["low"].shed or any(one.wrong for one in seen.values()):
        faults.append("memory: it did not recover")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("segue", nargs="?", default=str(ROOT / "target/release/segue"))
    parser.add_argument("--seconds", type=float, default=8, help="how long each flood is")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    port, admin = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overload-")))
        write(folder, port, admin, "0B")
        log = stack.enter_context(open(folder / "log", "w"))
        pin = (lambda: os.sched_setaffinity(0, {cores[1]})) if len(cores) > 1 else None
        gateway = subprocess.Popen([options.segue, "serve", "--config", folder], stdout=log, stderr=log, preexec_fn=pin)
        stack.callback(gateway.wait, 20)
        stack.callback(gateway.terminate)
        if pin:
            os.sched_setaffinity(0, {cores[0]})
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.1)
        faults = work(port, admin, "worker", options.seconds)
        faults += work(port, admin, "beside", options.seconds)
        faults += memory(folder, port, admin, gateway.pid)
        print(f"segue_shed_total {metric(admin, 'segue_shed_total'):.0f}")
        if gateway.poll() is not None:
            faults.append("the gateway has ended")
    print("\n".join(faults) or "as it should be")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
