#!/usr/bin/env python3
"""Whether the tests find slips: takes a rule out of the code, runs the tests, wants a failure.

    tests/mutants.py [PART …]     those whose name has one of these parts; all without

Works on a copy of the tree in a temporary folder (TMPDIR). All slips of tests/mutants.txt are compiled in at once, each behind
a switch, so that one build serves all; SLIP_NUMBER in the environment turns one on. CARGO_TARGET_DIR is used as it is. Prints a
line per slip: which run found it (specs, then unit tests, then simulations), or SURVIVED. Exit code 1 if any survived.
"""
import concurrent.futures, os, pathlib, re, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SWITCH = '''
/// Whether a slip is switched on.
#[must_use]
pub fn slip(number: u32) -> bool {
    static ON: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *ON.get_or_init(|| std::env::var("SLIP_NUMBER").ok().and_then(|text| text.parse().ok()).unwrap_or(0)) == number
}
'''
# What is run for each, until one fails.
RUNS = [
    ("specs", "it", ["specs::"]),
    ("unit tests", "lib", ["compose::", "compile::", "plan::", "suite::", "schema::", "json::", "--skip", "simulation", "--skip", "swap"]),
    ("whole gateway", "it", ["composed::", "proxied::", "resends::"]),
    ("simulation", "lib", ["compose::tests::simulation", "gateway::tests::swap"]),
]


def slips():
    found, edits = [], None
    for line in (ROOT / "tests/mutants.txt").read_text().splitlines():
        mark, rest = line[:2], line[2:]
        if mark == "= ":
            edits = []
            found.append((rest, edits))
        elif mark == "@ ":
            edits.append([rest, "", ""])
        elif mark in ("- ", "+ "):
            side = 1 if mark == "- " else 2
            edits[-1][side] = rest
        elif line and not line.startswith("#"):
            edits[-1][side] += "\n" + line
    return found


def compile_in(found, folder):
    for number, (name, edits) in enumerate(found, 1):
        for file, old, new in edits:
            path = folder / file
            text = path.read_text()
            if text.count(old) != 1:
                sys.exit(f"{name}: {file} has {text.count(old)} of: {old}")
            path.write_text(text.replace(old, new.replace("SLIP", f"crate::slip({number})")))
    output = folder / "src/compose/fan_out.rs"
    output.write_text(output.read_text().replace("const fn is_final", "fn is_final"))
    with (folder / "src/lib.rs").open("a") as lib:
        lib.write(SWITCH)
    cargo = folder / "Cargo.toml"
    cargo.write_text(re.sub(r"(?ms)^\[lints.*?(?=^\[(?!lints)|\Z)", "", cargo.read_text()))


def built(folder):
    command = ["cargo", "test", "--no-run", "--lib", "--test", "it"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    paths = re.findall(r"Executable (?:unittests )?(\S+) \((\S+)\)", done.stderr)
    kept = {}
    for source, path in paths:
        # A copy: the next build of the tree itself would write over it.
        name = "lib" if source == "src/lib.rs" else "it"
        kept[name] = shutil.copy(folder / path, folder / name)
    return kept


def judge(number, name, binaries, folder):
    for what, binary, arguments in RUNS:
        environment = dict(os.environ, SLIP_NUMBER=str(number), RUST_BACKTRACE="0")
        try:
            done = subprocess.run([binaries[binary], *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
        except subprocess.TimeoutExpired:
            return what + " (never ends)"
        if done.returncode:
            failed = re.findall(r"^test (\S+) \.\.\. FAILED", done.stdout, re.M)
            spec = re.findall(r"^(\w+/\w+\.md):", done.stdout + done.stderr, re.M)
            return f"{what}: {', '.join((spec or failed)[:3])}"
    return None


def main():
    found, words = slips(), sys.argv[1:] or [""]
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "tree"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", "target"))
        compile_in(found, folder)
        binaries = built(folder)
        clean = judge(0, "", binaries, folder)
        if clean:
            sys.exit(f"without a slip the tests fail: {clean}")
        wanted = [(number, name) for number, (name, _) in enumerate(found, 1) if any(part in name for part in words)]
        survived = 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = {pool.submit(judge, number, name, binaries, folder): name for number, name in wanted}
            for run in concurrent.futures.as_completed(runs):
                survived += run.result() is None
                print(f"{run.result() or 'SURVIVED':60} {runs[run]}", flush=True)
        print(f"{len(wanted)} slips, {survived} survived")
        sys.exit(survived > 0)


main()
