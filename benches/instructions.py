#!/usr/bin/env python3
"""Ratios of instructions instead of time, which a busy machine cannot disturb: `benches/expr` under
callgrind, each case 100 and 1100 times, so that what the start costs cancels out.

    python3 benches/instructions.py

Needs valgrind. Exits with 1 if a ratio is over its bar.
"""

import json
import re
import subprocess
import sys

CASES = {
    "E1 field path": 4.0,
    "E2 filter and map to bytes": 3.5,
    "E2 filter and map to a value": 3.5,
    "E3 condition and concatenation": 3.5,
    "parse the document": 1.0,
}


def built():
    """Builds the benchmark and says where it is."""
    command = ["cargo", "bench", "--bench", "expr", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    messages = (json.loads(line) for line in lines if line.startswith("{"))
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "expr" and m.get("executable"))


def count(program, case, side, times):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, case, side, str(times)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return int(re.search(r"Collected : (\d+)", said).group(1))


def main():
    program = built()
    fine = True
    print(f"{'instructions':32} {'by hand':>9} {'segue':>9} {'ratio':>7} {'bar':>7}")
    for case, bar in CASES.items():
        hand, ours = ((count(program, case, side, 1100) - count(program, case, side, 100)) // 1000 for side in ("hand", "ours"))
        fine &= ours / hand <= bar
        print(f"{case:32} {hand:>9} {ours:>9} {ours / hand:>7.2} {bar:>7.2}")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
