#!/usr/bin/env python3
"""How HTTP/2 stands with its specification: h2spec against a proxy route, in the clear and over TLS.

    cargo build --release
    python3 benches/conformance.py --binary target/release/segue --h2spec PATH --times 5

The origin reads a request's body before it answers. A route that answers sooner ends its streams before h2spec
has sent the second half of some cases, and then the case is about a closed stream. Needs h2spec and the `openssl`
command; everything is on loopback and ends by itself. Exits with 1 if a case fails.
"""

import argparse
import http.server
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

from idle import ROOT, free_port, make_certificate, wait_ready

SECTIONS = ["generic", "http2", "hpack", "--strict", "--timeout", "5"]


class Origin(http.server.BaseHTTPRequestHandler):
    """Reads all of a body, and answers."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        if self.headers.get("transfer-encoding"):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            while self.rfile.readline().strip():
                pass
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "13")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"hello, world!")

    do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Many of the calls are cut on purpose."""

    def handle_error(self, *_):
        pass


def write_tree(folder, clear, secure, admin, origin):
    (folder / "policies").mkdir()
    (folder / "routes" / "all").mkdir(parents=True)
    make_certificate(folder / "policies")
    (folder / "policies" / "gateway.yaml").write_text(f"""\
apiVersion: segue/v1
kind: Gateway
metadata: {{name: edge, owner: bench}}
listeners:
  - {{name: http, address: "127.0.0.1:{clear}"}}
  - {{name: https, address: "127.0.0.1:{secure}", tls: {{certificates: [{{cert: edge.pem, key: edge.key}}]}}}}
admin: {{address: "127.0.0.1:{admin}"}}
""")
    (folder / "routes" / "all" / "all.yaml").write_text(f"""\
apiVersion: segue/v1
kind: Service
metadata: {{name: origin, owner: bench}}
endpoints: [{{url: "http://127.0.0.1:{origin}"}}]
---
apiVersion: segue/v1
kind: Route
metadata: {{name: all, owner: bench}}
match: {{path: "/{{rest...}}"}}
proxy: {{service: origin}}
""")


def run(h2spec, port, extra):
    """How many cases failed, and what was said."""
    command = [h2spec, *SECTIONS, *extra, "--host", "127.0.0.1", "--port", str(port)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
    told = re.search(r"(\d+) tests, (\d+) passed, \d+ skipped, (\d+) failed", out)
    if told is None:
        raise SystemExit(f"h2spec told nothing:\n{out}")
    print(f"{'TLS' if extra else 'clear'}: {told.group(0)}")
    if told.group(1) != told.group(2):
        print(out[out.index("Failures:") :])
    return int(told.group(1)) - int(told.group(2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "segue"))
    parser.add_argument("--h2spec", default=shutil.which("h2spec"), help="(the one in PATH)")
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    if not options.h2spec:
        raise SystemExit("h2spec is not in PATH: give it by --h2spec")
    clear, secure, admin = (free_port() for _ in range(3))
    origin = Server(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        write_tree(pathlib.Path(folder), clear, secure, admin, origin.server_port)
        gateway = subprocess.Popen([options.binary, "serve", "--config", folder], stderr=subprocess.DEVNULL)
        try:
            wait_ready(admin)
            failed = 0
            for _ in range(options.times):
                failed += run(options.h2spec, clear, [])
                failed += run(options.h2spec, secure, ["--tls", "--insecure"])
        finally:
            gateway.terminate()
            gateway.wait(timeout=60)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
