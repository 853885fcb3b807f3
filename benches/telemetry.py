#!/usr/bin/env python3
"""What telemetry costs a proxied request: the same gateway with and without it, in turns, in one run.

    cargo build --profile dist
    python3 benches/telemetry.py

On means: 1 % of the requests traced, spans, metrics and log records sent to a collector, a line of JSON per
request in a file. The ratio is CPU time of the process per request, round by round. Needs wrk and nginx.
"""

import argparse
import contextlib
import http.server
import pathlib
import shutil
import statistics
import tempfile
import threading

import compare

PORTS = {"off": (8081, 9911), "on": (8083, 9913)}


def tree(folder, name, collector):
    """The tree of the bench with its ports, and with telemetry if it is on."""
    root = folder / name
    shutil.copytree(compare.HERE / "config" / "proxy", root)
    gateway = next((root / "policies").glob("*.yaml"))
    listen, admin = PORTS[name]
    text = gateway.read_text().replace(":8081", f":{listen}").replace(":9911", f":{admin}")
    if name == "on":
        text += (
            f'telemetry:\n  sample: 0.01\n  otlp: {{endpoint: "http://127.0.0.1:{collector}"}}\n'
            f"  accessLog: {{path: {folder}/access.log}}\n"
        )
    gateway.write_text(text)
    return root


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--segue", default=str(compare.ROOT / "target/dist/segue"), metavar="PATH", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    load_cores, peer_cores = {0}, {1}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telemetry-")))
        sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), compare.Sink)
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        stack.callback(sink.shutdown)
        process = compare.launch(stack, folder, "backend", compare.backend(folder), load_cores)
        compare.wait_for(compare.BACKEND, process, "backend", folder)
        peers = []
        for name in PORTS:
            root = tree(folder, name, sink.server_address[1])
            command = [options.segue, "serve", "--config", str(root)]
            process = compare.launch(stack, folder, name, command, peer_cores)
            compare.wait_for(PORTS[name][0], process, name, folder)
            peers.append(compare.Peer(name, PORTS[name][0], process))
        results = {peer.name: [] for peer in peers}
        for peer in peers:
            compare.load(peer, "/customers/1", 64, 1, load_cores)
        for _ in range(options.rounds):
            for peer in peers:
                results[peer.name].append(compare.load(peer, "/customers/1", 64, options.seconds, load_cores))
        lines = sum(1 for _ in open(folder / "access.log", "rb"))
    for name, samples in results.items():
        errors = sum(sample.errors for sample in samples)
        speed = compare.median(samples, "requests_per_second")
        print(f"{name:4} {speed:8.0f} req/s {compare.median(samples, 'cpu_us'):7.2f} us/req {errors} errors")
    ratios = [on.cpu_us / off.cpu_us for on, off in zip(results["on"], results["off"])]
    print(f"on / off: CPU per request {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), {lines} lines")


if __name__ == "__main__":
    main()
