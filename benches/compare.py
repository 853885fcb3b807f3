#!/usr/bin/env python3
"""Compares whole processes on loopback: Segue with nginx, HAProxy and a program written by hand.

    cargo build --profile dist --locked
    python3 benches/compare.py proxy   nginx haproxy segue
    python3 benches/compare.py compose segue --reference PATH

One nginx is the backend. Every peer has one worker, pinned to a core of its own where there are two;
load and backend share the other. Peers are loaded in turn, round after round, so that a machine that
slows down slows all of them. The figure to compare is the CPU time of the peer's own process per
request: it survives a noisy machine, requests per second do not.

`--reference PATH` adds a program that is called as `PATH proxy|compose PORT` and does the same job with
nothing around it. Needs wrk and nginx, and haproxy if it is asked for (Debian names).
"""

import argparse
import contextlib
import dataclasses
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
BACKEND = 9001
LOCATIONS = {
    "/customers/": "customer",
    "/orders": "orders",
    "/loyalty": "loyalty",
    "/inventory": "inventory",
    "/recommendations": "recommendations",
}


@dataclasses.dataclass(frozen=True)
class Job:
    """What is asked, how hard, and which template answers it."""

    target: str
    connections: int
    segue_port: int


JOBS = {
    "proxy": Job("/customers/1", 64, 8081),
    "compose": Job("/customer-360/c-1042", 32, 8082),
}


@dataclasses.dataclass
class Peer:
    name: str
    port: int
    process: subprocess.Popen


@dataclasses.dataclass
class Sample:
    requests_per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float
    resident_mib: float
    errors: int


# -- the processes


class Sink(http.server.BaseHTTPRequestHandler):
    """A collector: takes everything and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def nginx(folder, name, http):
    """The command of an nginx with one process and the given `http` section."""
    path = folder / f"{name}.conf"
    path.write_text(
        f"daemon off; master_process off; pid {folder}/{name}.pid; error_log {folder}/{name}.log;\n"
        "worker_rlimit_nofile 8192; events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s;\n{http}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(path)]


def backend(folder):
    # A list of 700 KB, for whoever reads large answers.
    items = [{"id": i, "name": f"item number {i}", "tags": ["a", "b", "c"]} for i in range(12_000)]
    (folder / "large.json").write_text(json.dumps({"items": items}))
    locations = f"location = /large.json {{ root {folder}; default_type application/json; }}\n"
    for location, name in LOCATIONS.items():
        body = (HERE / "data" / f"{name}.json").read_text().strip()
        locations += f"location {location} {{ default_type application/json; return 200 '{body}'; }}\n"
    return nginx(
        folder, "backend", f"server {{ listen 127.0.0.1:{BACKEND} backlog=4096;\n{locations} }}"
    )


def nginx_peer(folder, port):
    return nginx(
        folder,
        "peer",
        f"upstream backend {{ server 127.0.0.1:{BACKEND}; keepalive 256; keepalive_requests 100000000; }}\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{\n"
        "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://backend;\n"
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; } }",
    )


def haproxy_peer(folder, port):
    path = folder / "haproxy.cfg"
    path.write_text(
        "global\n  nbthread 1\n  maxconn 8192\n"
        "defaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n  timeout connect 5s\n"
        "  option forwardfor\n  http-reuse always\n"
        f"listen peer\n  bind 127.0.0.1:{port}\n  server backend 127.0.0.1:{BACKEND}\n"
    )
    return ["haproxy", "-db", "-f", str(path)]


def launch(stack, folder, name, command, cores):
    """Starts a command, pinned, and ends it with the stack."""
    log = stack.enter_context(open(folder / f"{name}.out", "wb"))
    process = subprocess.Popen(
        command,
        stdout=log,
        stderr=subprocess.STDOUT,
        preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
    )

    def end():
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()

    stack.callback(end)
    return process


def wait_for(port, process, name, folder):
    for _ in range(100):
        if process.poll() is not None:
            sys.exit(f"{name} ended at once:\n{(folder / f'{name}.out').read_text()[-2000:]}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    sys.exit(f"{name} does not listen on {port}")


# -- measuring


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def load(peer, target, connections, seconds, cores, more=()):
    """One run of wrk against a peer; `more` are arguments of it."""
    before = cpu_seconds(peer.process.pid)
    report = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *more, f"http://127.0.0.1:{peer.port}{target}"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
    ).stdout
    spent = cpu_seconds(peer.process.pid) - before
    find = lambda pattern: re.search(pattern, report)
    requests = int(find(r"(\d+) requests in").group(1))
    if requests == 0:
        sys.exit(f"{peer.name} answered nothing:\n{report}")
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", report))
    if bad := find(r"Non-2xx or 3xx responses: (\d+)"):
        errors += int(bad.group(1))
    return Sample(
        float(find(r"Requests/sec:\s+([\d.]+)").group(1)),
        microseconds(find(r"\n +50% +(\S+)").group(1)),
        microseconds(find(r"\n +99% +(\S+)").group(1)),
        spent / requests * 1e6,
        resident_mib(peer.process.pid),
        errors,
    )


def answer(peer, target):
    with urllib.request.urlopen(f"http://127.0.0.1:{peer.port}{target}", timeout=10) as response:
        return json.loads(response.read())


def median(samples, field):
    return statistics.median(getattr(sample, field) for sample in samples)


def print_results(job_name, options, results):
    connections = options.connections or JOBS[job_name].connections
    print(
        f"{job_name}: {JOBS[job_name].target}, {connections} connections, "
        f"{options.rounds} rounds of {options.seconds} s, medians"
    )
    print(f"{'peer':12} {'req/s':>9} {'p50 us':>8} {'p99 us':>8} {'CPU us/req':>11} {'MiB':>6} {'errors':>6}")
    for name, samples in results.items():
        print(
            f"{name:12} {median(samples, 'requests_per_second'):9.0f} {median(samples, 'p50_us'):8.0f} "
            f"{median(samples, 'p99_us'):8.0f} {median(samples, 'cpu_us'):11.2f} "
            f"{median(samples, 'resident_mib'):6.1f} {sum(sample.errors for sample in samples):6}"
        )
    if "segue" not in results:
        return
    own = results["segue"]
    for name, samples in results.items():
        if name != "segue":
            # Round by round, because a machine's speed drifts between rounds.
            ratios = [a.cpu_us / b.cpu_us for a, b in zip(own, samples) if b.cpu_us]
            speed = median(own, "requests_per_second") / median(samples, "requests_per_second")
            if ratios:
                print(f"segue / {name}: CPU per request {statistics.median(ratios):.2f}, req/s {speed:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("peers", nargs="+", choices=["nginx", "haproxy", "segue"])
    parser.add_argument("--reference", metavar="PATH", help="a program called as PATH proxy|compose PORT")
    parser.add_argument("--segue", default=str(ROOT / "target/dist/segue"), metavar="PATH", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    job = JOBS[options.job]
    if options.job == "compose" and set(options.peers) & {"nginx", "haproxy"}:
        parser.error("nginx and haproxy cannot compose")
    for tool in ["wrk", "nginx"] + [peer for peer in options.peers if peer == "haproxy"]:
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed")

    cores = sorted(os.sched_getaffinity(0))
    load_cores, peer_cores = ({cores[0]}, {cores[1]}) if len(cores) > 1 else (None, None)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compare-")))
        process = launch(stack, folder, "backend", backend(folder), load_cores)
        wait_for(BACKEND, process, "backend", folder)

        commands = {
            "nginx": (8001, lambda port: nginx_peer(folder, port)),
            "haproxy": (8002, lambda port: haproxy_peer(folder, port)),
            "segue": (job.segue_port, lambda _: [options.segue, "serve", "--config", str(HERE / "config" / options.job)]),
            "reference": (8021, lambda port: [options.reference, options.job, str(port)]),
        }
        peers = []
        for name in (["reference"] if options.reference else []) + list(dict.fromkeys(options.peers)):
            port, command = commands[name]
            process = launch(stack, folder, name, command(port), peer_cores)
            wait_for(port, process, name, folder)
            peers.append(Peer(name, port, process))

        # A peer that does less is no peer: all must give the same answer.
        answers = {peer.name: answer(peer, job.target) for peer in peers}
        for name, value in answers.items():
            if value != answers[peers[0].name]:
                sys.exit(f"{name} and {peers[0].name} answer differently:\n{value}\n{answers[peers[0].name]}")

        connections = options.connections or job.connections
        results = {peer.name: [] for peer in peers}
        for peer in peers:  # warm: connections made, caches filled
            load(peer, job.target, connections, 1, load_cores)
        for _ in range(options.rounds):
            for peer in peers:
                results[peer.name].append(load(peer, job.target, connections, options.seconds, load_cores))
    print_results(options.job, options, results)
    if options.json:
        plain = {name: [dataclasses.asdict(sample) for sample in samples] for name, samples in results.items()}
        pathlib.Path(options.json).write_text(json.dumps(plain, indent=2) + "\n")


if __name__ == "__main__":
    main()
