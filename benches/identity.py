#!/usr/bin/env python3
"""What it costs to know who calls: CPU of the gateway per proxied request, in one run, variants in turns.

    cargo build --profile dist --locked
    python3 benches/identity.py
    python3 benches/identity.py --segue target/release/segue --rounds 3 --tokens 4000

1. A token on a plain proxy route, remembered from the first request on, against the same route without a policy.
   The bar for ES256 is 1.15.
2. A token, a rate limit by `principal.id` and telemetry (1 % of the requests traced, spans, metrics and log records
   sent to a collector, a line of JSON per request in a file) against the same route without anything. The bar is 1.25.
3. Tokens of which none was seen before, against one that is remembered: what a verification takes.

The route without a policy is asked without a token: nothing that tokens cost is on both sides. Needs wrk, nginx and
python3-cryptography (Debian names). Everything is on loopback, bounded in time and count, and ends by itself.
"""

import argparse
import base64
import contextlib
import http.server
import json
import pathlib
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import compare
from idle import free_port

TARGET = "/customers/1"
CONNECTIONS = 64
ISSUER = "https://id.example.com"
ALGORITHMS = ("ES256", "RS256", "EdDSA")
BARS = {"ES256": 1.15, "ES256, limit and telemetry": 1.25, "RS256, limit and telemetry": 1.25}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Signer:
    """A key, and tokens signed by it."""

    def __init__(self, algorithm):
        self.algorithm = algorithm
        if algorithm == "ES256":
            self.key = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "RS256":
            self.key = rsa.generate_private_key(65537, 2048)
        else:
            self.key = ed25519.Ed25519PrivateKey.generate()

    def jwk(self):
        public = self.key.public_key()
        if self.algorithm == "ES256":
            point = public.public_numbers()
            own = {"kty": "EC", "crv": "P-256"}
            own |= {axis: base64url(getattr(point, axis).to_bytes(32, "big")) for axis in "xy"}
        elif self.algorithm == "RS256":
            numbers = public.public_numbers()
            own = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        else:
            own = {"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes_raw())}
        return own | {"kid": self.algorithm, "use": "sig", "alg": self.algorithm}

    def token(self, subject):
        """As identity providers make them: about ten claims."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "orders-api", "sub": subject, "iat": now, "nbf": now, "exp": now + 36000}
        claims |= {"jti": f"{subject}-{now}", "scope": "orders:read orders:write", "azp": "app", "tenant": "t-1042"}
        header = {"alg": self.algorithm, "kid": self.algorithm, "typ": "JWT"}
        signed = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        return f"{signed}.{base64url(self.sign(signed.encode()))}"

    def sign(self, message):
        if self.algorithm == "ES256":
            pair = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
            return b"".join(value.to_bytes(32, "big") for value in pair)
        if self.algorithm == "RS256":
            return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(message)


def policy(limit):
    text = f"""\
apiVersion: segue/v1
kind: Policy
metadata: {{name: access, owner: bench}}
authenticate:
  jwt:
    issuers:
      - {{issuer: "{ISSUER}", audiences: [orders-api], jwks: {{file: keys.json}}, algorithms: [{", ".join(ALGORITHMS)}]}}
"""
    if limit:
        text += 'rateLimit: [{name: partner, limit: 1000000000, window: 1h, key: "${ principal.id }"}]\n'
    return text


def tree(folder, name, keys, collector, everything):
    """The tree of the plain proxy with ports of its own and, but for `plain`, a policy."""
    root = folder / name
    shutil.copytree(compare.HERE / "config" / "proxy", root)
    gateway = root / "policies" / "gateway.yaml"
    port = free_port()
    text = gateway.read_text().replace(":8081", f":{port}").replace(":9911", f":{free_port()}")
    if everything:
        text += (
            f'telemetry:\n  sample: 0.01\n  otlp: {{endpoint: "http://127.0.0.1:{collector}"}}\n'
            f"  accessLog: {{path: {folder}/access.log}}\n"
        )
    gateway.write_text(text)
    routes = next((root / "routes").glob("*/*.yaml"))
    routes.write_text(routes.read_text().replace(":9001", f":{compare.BACKEND}"))
    if name != "plain":
        (root / "policies" / "keys.json").write_text(keys)
        (root / "policies" / "access.yaml").write_text(policy(everything))
        routes.write_text(routes.read_text().replace("proxy: {", "policies: [access]\nproxy: {"))
    return root, port


def ask_all(peer, tokens):
    """CPU microseconds per request when each of these tokens comes once, over some connections in turn."""
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", peer.port)
        sockets = [stack.enter_context(socket.create_connection(address)) for _ in range(32)]
        for one in sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        before = compare.cpu_seconds(peer.process.pid)
        for start in range(0, len(tokens), len(sockets)):
            batch = list(zip(sockets, tokens[start : start + len(sockets)]))
            for one, token in batch:
                head = f"GET {TARGET} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
                one.sendall(head.encode())
            for one, _ in batch:
                # The answer is small: it comes in one piece.
                if not one.recv(65536).startswith(b"HTTP/1.1 200"):
                    sys.exit("a good token was refused")
        return (compare.cpu_seconds(peer.process.pid) - before) / len(tokens) * 1e6


def warm(peers, tokens, options, cores):
    """CPU per request of every variant, round by round."""
    found = {name: [] for name in peers}
    for turn in range(options.rounds + 1):
        for name, peer in peers.items():
            algorithm = name.split(",")[0]
            header = ["-H", f"authorization: Bearer {tokens[algorithm]}"] if algorithm in tokens else []
            sample = compare.load(peer, TARGET, CONNECTIONS, options.seconds if turn else 1, cores, header)
            if sample.errors:
                sys.exit(f"{name}: {sample.errors} errors")
            # The first round only warms.
            if turn:
                found[name].append(sample.cpu_us)
    plain = found["plain"]
    print(f"{'':28} {'CPU us/req':>11} {'ratio':>7} {'from':>7} {'to':>7} {'bar':>6}")
    for name, each in found.items():
        ratios = [own / other for own, other in zip(each, plain)]
        bar = f"{BARS[name]:6.2f}" if name in BARS else ""
        middle = statistics.median(ratios)
        print(f"{name:28} {statistics.median(each):11.2f} {middle:7.3f} {min(ratios):7.3f} {max(ratios):7.3f} {bar}")


def cold(peer, signers, count):
    """What a token costs that nobody has shown before."""
    print(f"\n{count} tokens, each shown once        us/req  remembered  difference")
    for algorithm in ALGORITHMS:
        tokens = [signers[algorithm].token(f"c-{index}") for index in range(count)]
        again = signers[algorithm].token("again")
        ask_all(peer, [again] * 64)
        remembered = ask_all(peer, [again] * count)
        fresh = ask_all(peer, tokens)
        print(f"  {algorithm:32} {fresh:8.2f} {remembered:11.2f} {fresh - remembered:11.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--segue", default=str(compare.ROOT / "target/dist/segue"), metavar="PATH", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each variant in each round")
    parser.add_argument("--tokens", type=int, default=20000, help="of each algorithm, shown once (%(default)s; 0: none)")
    options = parser.parse_args()
    load_cores, peer_cores = {0}, {1}
    compare.BACKEND = free_port()
    signers = {algorithm: Signer(algorithm) for algorithm in ALGORITHMS}
    keys = json.dumps({"keys": [signer.jwk() for signer in signers.values()]})
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="identity-")))
        sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), compare.Sink)
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        stack.callback(sink.shutdown)
        process = compare.launch(stack, folder, "backend", compare.backend(folder), load_cores)
        compare.wait_for(compare.BACKEND, process, "backend", folder)

        def start(name, everything):
            root, port = tree(folder, name, keys, sink.server_address[1], everything)
            process = compare.launch(stack, folder, name, [options.segue, "serve", "--config", str(root)], peer_cores)
            compare.wait_for(port, process, name, folder)
            return compare.Peer(name, port, process)

        plain, token, everything = start("plain", False), start("token", False), start("everything", True)
        peers = {"plain": plain, "ES256": token, "RS256": token}
        peers |= {f"{algorithm}, limit and telemetry": everything for algorithm in ("ES256", "RS256")}
        tokens = {algorithm: signers[algorithm].token("warm") for algorithm in ALGORITHMS}
        warm(peers, tokens, options, load_cores)
        if options.tokens:
            cold(token, signers, options.tokens)


if __name__ == "__main__":
    main()
