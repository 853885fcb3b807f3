# Short names for long commands.

# everything a change must pass
ci:
    bash .ci/run

# the sample with mock services
demo:
    cargo run --release -- demo

# the whole-process comparison; needs wrk, nginx and haproxy
bench:
    cargo build --profile dist --locked
    python3 benches/compare.py proxy nginx haproxy segue
    python3 benches/compare.py compose segue
