#!/usr/bin/env python3
"""What governance adds to `segue check`: trees of routes with and without bindings, in one run.

    cargo build --release && python3 benches/bindings.py [PATH_OF_SEGUE]

10 000 routes of 100 units: bare; with 500 bindings that select by units, unit labels and names; and with the same and
10 000 loosenings, each a finding, of which the text shows the lines; and these in one file, as a unit may have them. The same
with half of the routes, so that what grows faster than its tree shows.
Each tree is checked three times, in turn; the fastest counts. Fails if bindings cost more than MOST_BOUND times the bare
tree, findings more than MOST_FOUND times the bound one, or twice the tree more than MOST_GROWTH times the half.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNITS, BINDINGS, POLICIES = 100, 500, 50
MOST_BOUND, MOST_FOUND, MOST_GROWTH = 1.6, 1.6, 2.6

HEAD = "apiVersion: segue/v1\nkind: %s\nmetadata: {name: %s, owner: o%s}\n"


def gateway():
    return HEAD % ("Gateway", "edge", "") + 'listeners: [{name: http, address: "127.0.0.1:8080"}]\n'


def governance(bindings):
    """Policies with a bit of everything, and bindings that each select some of the routes."""
    documents = []
    for unit in range(UNITS):
        label = f"{{tier: t{unit % 10}}}"
        documents.append(
            HEAD % ("Unit", f"u{unit}", "")
            + f"owns: [{{prefix: /u{unit}}}]\nlabels: {label}\ngrants: {{egress: [127.0.0.1]}}\n"
        )
    for number in range(POLICIES):
        documents.append(
            HEAD % ("Policy", f"p{number}", "")
            + f"timeout: {20 + number % 7}s\nbody: {{maxBytes: {number + 1}MiB}}\n"
            + "authenticate: {apiKey: {}}\n"
            + "authorize: [{deny: '${ request.method == \"TRACE\" }'}]\n"
            + f"rateLimit: [{{name: l{number}, limit: {100 + number}, window: 10s}}]\n"
            + f"headers: {{request: {{set: {{x-p{number}: '${{ request.id }}'}}}}, response: {{remove: [x-r{number}]}}}}\n"
        )
    for number in range(bindings):
        select = [
            f"units: [u{number % UNITS}]",
            f"unitLabels: {{tier: t{number % 10}}}",
            f'routes: ["u{number % UNITS}/r{number % 10}*"]',
        ][number % 3]
        mode = "default" if number % 4 == 3 else "mandatory"
        documents.append(
            HEAD % ("PolicyBinding", f"b{number:03}", "")
            + f"mode: {mode}\nselect: {{{select}}}\npolicies: [p{number % POLICIES}]\n"
        )
    return "---\n".join(documents)


def routes(unit, each, loose):
    documents = [HEAD % ("Service", "s", "") + 'endpoints: [{url: "http://127.0.0.1:9001"}]\n']
    for number in range(each):
        # Above every mandate, so that it is a finding.
        timeout = "60s" if loose else "1s"
        documents.append(
            HEAD % ("Route", f"r{number}", "")
            + f"match: {{path: /u{unit}/r{number}}}\ntimeout: {timeout}\n"
            + "steps: {one: {http: {service: s, path: /one, headers: {x-own: '1'}}}}\nrespond: {body: '${ steps.one.body.x }'}\n"
        )
    return "---\n".join(documents)


def write(folder, count, bindings, loose, units=UNITS):
    (folder / "policies").mkdir(parents=True)
    (folder / "policies/gateway.yaml").write_text(gateway())
    (folder / "policies/it.yaml").write_text(governance(bindings))
    for unit in range(units):
        home = folder / f"routes/u{unit}"
        home.mkdir(parents=True)
        (home / "routes.yaml").write_text(routes(unit, count // units, loose))
    return folder


def check(segue, folder):
    began = time.perf_counter()
    done = subprocess.run([segue, "check", "--config", folder], capture_output=True, timeout=300)
    took = time.perf_counter() - began
    assert done.returncode in (0, 1), done.stderr.decode()[:1000]
    return took, done.stdout.count(b"[loosens_mandate]")


def main():
    segue = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "target/release/segue")
    with tempfile.TemporaryDirectory() as scratch:
        trees = {}
        for count in (5_000, 10_000):
            shapes = ("bare", 0, False, UNITS), ("bound", BINDINGS, False, UNITS), ("found", BINDINGS, True, UNITS), ("one", BINDINGS, True, 1)
            for name, bindings, loose, units in shapes:
                trees[name, count] = write(pathlib.Path(scratch, f"{name}{count}"), count, bindings, loose, units)
        best, found = {}, {}
        for _ in range(3):
            for key, folder in trees.items():
                took, found[key] = check(segue, folder)
                best[key] = min(took, best.get(key, took))
        for (name, count), took in best.items():
            print(f"{name:6} {count:>6} routes {took:7.2f} s  {found[name, count]:>6} loosenings")
        bound = best["bound", 10_000] / best["bare", 10_000]
        cost = best["found", 10_000] / best["bound", 10_000]
        growth = {name: best[name, 10_000] / best[name, 5_000] for name in ("bare", "bound", "found", "one")}
        print(f"bindings {bound:.2f} x the bare tree, findings {cost:.2f} x the bound one")
        print("twice the tree " + ", ".join(f"{name} {ratio:.2f} x" for name, ratio in growth.items()))
        assert found["found", 10_000] == found["one", 10_000] == 10_000, "each route that loosens is a finding"
        if bound > MOST_BOUND or cost > MOST_FOUND or max(growth.values()) > MOST_GROWTH:
            sys.exit("more than it may be")


if __name__ == "__main__":
    main()
