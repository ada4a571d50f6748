# The commands of this project. `make run` needs Rust and a C compiler, nothing else.
CARGO ?= cargo
SEEDS ?= 10000
FIRST ?= 0
FUZZ_SECONDS ?= 600

.PHONY: run build test test-vm test-needs lint bench sim fuzz hostile

run: ## Start the agent in the foreground with the examples; Ctrl-C ends it and them.
	@echo "building (the first time takes some minutes)…"
	$(CARGO) build --release --bins
	target/release/flotta-agent run --config config.example.yaml

build:
	$(CARGO) build --release --bins

test-needs: ## What the tests talk to: mosquitto's own clients and broker, curl; as root a podman service too.
	@tests/needs.sh
	@if [ "$$(id -u)" = 0 ]; then tests/podman.sh start >/dev/null; fi

test: test-needs ## Every test, also those against real clients.
	$(CARGO) build --bins
	@status=0; $(CARGO) test --workspace || status=$$?; \
	if [ "$$(id -u)" = 0 ]; then tests/podman.sh stop; fi; exit $$status

test-vm: ## In an emulated Debian 13 (systemd, cgroup v2, podman 5.4): the tests of pods, the service, three power cuts. As root, half an hour.
	tests/in-vm.sh
	tests/systemd.sh
	tests/power-cuts.sh 3

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

sim: ## Many seeds of the simulators, with their rate: make sim SEEDS=10000; FIRST=5000 goes on from there
	SIM_SEEDS=$(SEEDS) SIM_FIRST=$(FIRST) $(CARGO) test --profile sim --test simulator whatever -- --nocapture
	SIM_SEEDS=$(SEEDS) SIM_FIRST=$(FIRST) $(CARGO) test --profile sim --test pods_simulator -- --nocapture

bench: ## Benchmarks of the pure parts, of the whole process, of the broker beside Mosquitto, with a Flotta server, of pods (as root); each prints its method.
	$(CARGO) bench
	bench/run.sh
	bench/broker.sh
	bench/server.sh
	bench/pods.sh

fuzz: ## Each fuzz target for FUZZ_SECONDS, or those in TARGETS; nightly and cargo-fuzz (fuzz/README.md).
	FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run.sh $(TARGETS)

hostile: ## Hostile clients in their long forms; prints the table of docs/hostile.md.
	@tests/hostile.sh
