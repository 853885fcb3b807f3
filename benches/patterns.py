#!/usr/bin/env python3
"""What `segue check` takes for trees that are nothing but patterns, or schema files: peak memory and time.

    cargo build --release && python3 benches/patterns.py [PATH_OF_SEGUE]

The contract is 200 MB and seconds for any tree. Each tree is refused, or accepted within that. Exit code 1 otherwise. Uses GNU time.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

MOST_MB, MOST_S = 200, 10
GATEWAY = """apiVersion: segue/v1
kind: Gateway
metadata: {name: edge, owner: platform}
listeners: [{name: http, address: "127.0.0.1:8080"}]
"""
HEAD = "apiVersion: segue/v1\nkind: Route\nmetadata: {name: r%d, owner: o}\nmatch: {methods: [POST], path: /r%d}\n"
# Large when compiled, for the bytes that they take. Each stands in a tree with an end of its own, so that none is shared.
PATTERNS = [r"^\\p{L}{40}$", r"^\\w{90}$", r"^(a|b|c){900}$", r"^[a-z]{900}x[0-9]{900}$", r"(?:\\pL|\\d){30}$"]


def parameters(routes, each, pattern):
    for number in range(routes):
        names = "\n".join(f"    p{n}: {{type: string, pattern: \"{pattern}|x{number}y{n}\"}}" for n in range(each))
        yield HEAD % (number, number) + f"request:\n  query:\n{names}\nrespond: {{status: 204}}\n"


def expressions(routes, each, pattern):
    for number in range(routes):
        names = "\n".join(f"    p{n}: '${{ request.id.matches(\"{pattern}|x{number}y{n}\") }}'" for n in range(each))
        yield HEAD % (number, number) + f"respond:\n  body:\n{names}\n"


def both(routes, each, pattern):
    halves = (parameters(routes // 2, each, pattern), expressions(routes // 2, each, pattern))
    for at, half in enumerate(halves):
        for number, text in enumerate(half):
            yield text.replace(f"r{number}", f"r{number}x{at}")


def files(routes, text):
    for number in range(routes):
        yield HEAD % (number, number) + "request: {body: {schema: big.json}}\nrespond: {status: 204}\n", text


def trees():
    for pattern in PATTERNS:
        yield f"parameters {pattern}", list(parameters(400, 60, pattern)), None
        yield f"expressions {pattern}", list(expressions(400, 60, pattern)), None
    yield "both kinds", list(both(400, 60, PATTERNS[0])), None
    yield "small ones, very many", list(parameters(1000, 90, "^[a-z]$")), None
    lengths = [text.replace("pattern: \"", "description: \"") for text in parameters(1000, 90, "x")]
    yield "schemas that are all different", lengths, None
    many = [route for route, _ in files(500, "")]
    yield "a schema file of empty maps", many, "[" + "{}," * 1_000_000 + "{}]"
    big = {"type": "object", "properties": {f"p{n}": {"type": "string", "maxLength": n} for n in range(5000)}}
    yield "a large schema file that 500 routes name", many, json.dumps(big)


def main():
    segue = sys.argv[1] if len(sys.argv) > 1 else "target/release/segue"
    fine = True
    for name, routes, schema in trees():
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            (folder / "policies").mkdir()
            (folder / "routes/u").mkdir(parents=True)
            (folder / "policies/gateway.yaml").write_text(GATEWAY)
            for at in range(0, len(routes), 100):
                (folder / f"routes/u/r{at}.yaml").write_text("---\n".join(routes[at : at + 100]))
            if schema:
                (folder / "routes/u/big.json").write_text(schema)
            began = time.monotonic()
            command = ["/usr/bin/time", "-v", segue, "check", "--config", place]
            done = subprocess.run(command, capture_output=True, text=True)
            took = time.monotonic() - began
            peak = int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", done.stderr).group(1)) / 1000
            verdict = "accepted" if "error[" not in done.stdout else re.search(r"error\[\w+\]: .*", done.stdout).group(0)[:90]
            over = peak > MOST_MB or took > MOST_S
            fine &= not over
            print(f"{peak:7.0f} MB {took:6.1f} s {'OVER' if over else '    '} {name}: {verdict}", flush=True)
    sys.exit(0 if fine else 1)


main()
