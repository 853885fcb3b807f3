#!/usr/bin/env python3
"""What a hostile unit does to the tail of a good one on the same gateway: with and without it, in turns, in one run.

    cargo build --profile dist
    python3 benches/neighbour.py

The good unit's clients ask a proxy route at a steady pace. The hostile unit's ask, at the same time, for
expressions close to their budget, send large bodies, read large answers, wait for a service that never answers, and
send many times more than their rate limit lets through. The gateway has one worker and a core of its own, so that
nothing hides behind another core; every client and every service has the other, and the hostile clients run there only
while nobody else wants to.

They take something of that core nevertheless: a system call is not cut short. So each round has three parts: the good
unit alone; the same while the hostile clients ask a gateway of their own on the clients' core (elsewhere); and while
they ask the same gateway (beside). Beside by elsewhere is what sharing the gateway does, beside by alone what sharing
the machine does besides. The bar for p99 is 1.2. Needs wrk and nginx.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

import compare

PORT = 8085
OTHER = 8086
SILENT = 9005
GOOD = ("/customers/1", 8, "GET", 5)
# Path, connections, method, pause between two requests of a connection in ms.
HOSTILE = [
    ("/hostile/heavy", 2, "GET", 10),
    ("/hostile/big", 1, "POST", 50),
    ("/hostile/answer", 1, "GET", 50),
    ("/hostile/slow", 64, "GET", 20),
    ("/hostile/flood", 2, "GET", 1),
]


def behind(cores):
    """What a process does first that may only have what others leave of these cores."""
    if cores:
        os.sched_setaffinity(0, cores)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def client(folder, asked, port, seconds, cores):
    """A wrk that pauses between requests, so that it is a client and not a flood."""
    path, connections, method, pause = asked
    script = folder / (path.strip("/").replace("/", "-") + ".lua")
    body = ""
    if method == "POST":
        items = [{"id": i, "name": f"item number {i}", "tags": ["a", "b", "c"]} for i in range(12_000)]
        (folder / "big.json").write_text(json.dumps({"items": items}))
        body = (
            f'local file = io.open("{folder}/big.json"); wrk.body = file:read("*a"); file:close()\n'
            'wrk.headers["content-type"] = "application/json"\n'
        )
    script.write_text(
        f'wrk.method = "{method}"\n{body}'
        f"function delay() return math.random(0, {2 * pause}) end\n"
    )
    return subprocess.Popen(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), f"http://127.0.0.1:{port}{path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=(lambda: behind(cores)) if asked is not GOOD else (lambda: cores and os.sched_setaffinity(0, cores)),
    )


def read(process):
    """Requests, p50, p99 and answers that are not 2xx."""
    report, _ = process.communicate()
    find = lambda pattern: re.search(pattern, report)
    refused = find(r"Non-2xx or 3xx responses: (\d+)")
    return (
        int(find(r"(\d+) requests in").group(1)),
        compare.microseconds(find(r"\n +50% +(\S+)").group(1)),
        compare.microseconds(find(r"\n +99% +(\S+)").group(1)),
        int(refused.group(1)) if refused else 0,
    )


def measure(folder, port, seconds, cores):
    """The good unit's latency; `port` is where the hostile unit's clients go, if they do."""
    others = [client(folder, asked, port, seconds + 1, cores) for asked in HOSTILE] if port else []
    # What they do at their start is not what is measured.
    time.sleep(0.5)
    good = read(client(folder, GOOD, PORT, seconds, cores))
    return good, [read(other) for other in others]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--segue", default=str(compare.ROOT / "target/dist/segue"), metavar="PATH", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", metavar="PATH", help="what of the hostile clients is left")
    options = parser.parse_args()
    if options.only:
        HOSTILE[:] = [asked for asked in HOSTILE if options.only in asked[0]]
    cores = sorted(os.sched_getaffinity(0))
    load_cores, peer_cores = ({cores[0]}, {cores[1]}) if len(cores) > 1 else (None, None)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neighbour-")))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", SILENT), backlog=4096))
        assert silent
        process = compare.launch(stack, folder, "backend", compare.backend(folder), load_cores)
        compare.wait_for(compare.BACKEND, process, "backend", folder)
        command = [options.segue, "serve", "--config", str(compare.HERE / "config" / "neighbour")]
        process = compare.launch(stack, folder, "segue", command, peer_cores)
        compare.wait_for(PORT, process, "segue", folder)
        elsewhere = folder / "elsewhere"
        shutil.copytree(compare.HERE / "config" / "neighbour", elsewhere)
        gateway = elsewhere / "policies" / "gateway.yaml"
        gateway.write_text(gateway.read_text().replace(f":{PORT}", f":{OTHER}").replace(":9915", ":9916"))
        command = ["chrt", "--idle", "0", options.segue, "serve", "--config", str(elsewhere)]
        other = compare.launch(stack, folder, "elsewhere", command, load_cores)
        compare.wait_for(OTHER, other, "elsewhere", folder)
        measure(folder, None, 1, load_cores)
        alone, apart, beside = [], [], []
        for _ in range(options.rounds):
            alone.append(measure(folder, None, options.seconds, load_cores)[0])
            apart.append(measure(folder, OTHER, options.seconds, load_cores)[0])
            before = compare.cpu_seconds(process.pid)
            good, others = measure(folder, PORT, options.seconds, load_cores)
            beside.append((good, others, (compare.cpu_seconds(process.pid) - before) / (options.seconds + 1)))
    for name, samples in (("alone", alone), ("elsewhere", apart), ("beside", [good for good, _, _ in beside])):
        requests = statistics.median(sample[0] for sample in samples) / options.seconds
        p50, p99 = (statistics.median(sample[index] for sample in samples) for index in (1, 2))
        refused = sum(sample[3] for sample in samples)
        print(f"{name:9} {requests:7.0f} req/s  p50 {p50:6.0f} us  p99 {p99:6.0f} us  {refused} not 2xx")
    for index, asked in enumerate(HOSTILE):
        sent = [others[index] for _, others, _ in beside]
        requests = statistics.median(one[0] for one in sent) / (options.seconds + 1)
        served = statistics.median(one[0] - one[3] for one in sent) / (options.seconds + 1)
        print(f"  {asked[0]:15} {requests:7.0f} asked for a second, {served:5.0f} served")
    print(f"the gateway took {statistics.median(busy for _, _, busy in beside):.0%} of a core")
    p99 = statistics.median(good[2] for good, _, _ in beside)
    for name, samples in (("elsewhere", apart), ("alone", alone)):
        base = statistics.median(sample[2] for sample in samples)
        rounds = sorted(good[2] / sample[2] for (good, _, _), sample in zip(beside, samples))
        print(
            f"p99 beside / {name}: {p99 / base:.2f} of the medians, by rounds {statistics.median(rounds):.2f}"
            f" ({rounds[0]:.2f} to {rounds[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
