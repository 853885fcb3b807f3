# syntax=docker/dockerfile:1

# -- dependencies: a layer of their own, rebuilt only when Cargo.toml or Cargo.lock change
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
# Benches that the manifest names must exist for it to be read.
COPY benches ./benches
RUN mkdir src \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs \
 && cargo build --profile dist --locked --bin segue \
 && rm -rf src

# -- the program
COPY src ./src
# The demo's copy of the sample is built in.
COPY routes ./routes
COPY policies ./policies
# The sources are older than the placeholders that were built above; cargo goes by time.
RUN find src -name '*.rs' -exec touch {} + \
 && cargo build --profile dist --locked --bin segue

# -- what runs: the binary and the sample, nobody's shell rights, no compiler
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --no-create-home --uid 10001 segue
COPY --from=build /build/target/dist/segue /usr/local/bin/segue
COPY --chown=root:root policies /etc/segue/policies
COPY --chown=root:root routes /etc/segue/routes
USER 10001
WORKDIR /etc/segue
# The sample listens on loopback unless told otherwise; a container's port must be reachable from outside.
ENV SEGUE_LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["segue", "health", "--config", "/etc/segue"]
ENTRYPOINT ["segue"]
CMD ["serve", "--config", "/etc/segue"]
