# The agent and flotta-shim, the small parent of each shell run, which has to lie beside it: docker build -t flotta-agent .
# How it is run: docker-compose.yml, docs/compose.md.
ARG RUST_IMAGE=rust:1-trixie
# With the same libc as the one above, or a newer one; and with the programs that shell workloads call.
ARG RUNTIME_IMAGE=debian:trixie-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# The dependencies first, with nothing of ours but what names them: this layer is made anew only when they change.
COPY Cargo.toml Cargo.lock ./
COPY broker/Cargo.toml broker/
COPY heap/Cargo.toml heap/
COPY standin/Cargo.toml standin/
COPY benches benches
RUN mkdir -p src/bin/flotta-shim broker/src heap/src standin/src \
    && touch src/lib.rs broker/src/lib.rs heap/src/lib.rs standin/src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs >src/bin/flotta-shim/main.rs \
    && cargo build --release --locked --bins \
    && cargo clean --release -p flotta-agent -p flotta-broker -p flotta-heap
COPY broker/src broker/src
COPY heap/src heap/src
COPY src src
RUN cargo build --release --locked --bins

FROM ${RUNTIME_IMAGE} AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/flotta-agent --shell /usr/sbin/nologin flotta \
    && install -d -o flotta -g flotta -m 700 /var/lib/flotta-agent \
    && install -d /etc/flotta-agent/manifests
COPY --from=build /src/target/release/flotta-agent /src/target/release/flotta-shim /usr/local/bin/
USER flotta
WORKDIR /var/lib/flotta-agent
ENTRYPOINT ["flotta-agent"]
CMD ["run"]
