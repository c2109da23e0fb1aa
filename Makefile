# Two commands matter: `make run` shows the sensor at work, `make test` proves it.

CARGO ?= cargo
SENSOR = target/release/phantomnet
PACKED = target/packed
PAGE = src/api/dashboard/page

.PHONY: run test build deb packed screenshots book lint instructions instructions-baseline needs ask-cargo

# Generated traffic with attacks in it through the whole sensor: into SQLite, and out over HTTP on 127.0.0.1:8000.
run: $(SENSOR)
	$(SENSOR) demo

build: $(SENSOR)

# A Debian package, and one with what debuggers and profilers read beside it; docs/DEPLOY.md installs it.
deb: packed
	@command -v cargo-deb >/dev/null || { echo "cargo-deb is needed to pack: cargo install cargo-deb --locked" >&2; exit 1; }
	$(CARGO) deb --locked --no-build

# What the program writes for its package: manual pages and completions.
packed: $(SENSOR)
	rm -rf $(PACKED) && mkdir -p $(PACKED)
	$(SENSOR) manual --out $(PACKED)
	for shell in bash zsh fish; do $(SENSOR) completions $$shell >$(PACKED)/phantomnet.$$shell || exit 1; done

# Pictures of every page of the dashboard in both themes, into docs/screenshots.
screenshots: $(SENSOR) needs
	cd $(PAGE) && npm ci --ignore-scripts
	PHANTOMNET_PROGRAM=$(abspath $(SENSOR)) node $(PAGE)/tests/screenshots.js docs/screenshots

# The documents as a book, to read from files or to put on a web server: target/book/index.html.
book:
	$(CARGO) run --quiet --locked --manifest-path book/Cargo.toml --target-dir target -- target/book

# Cargo alone knows whether anything has changed, so it is always asked.
$(SENSOR): ask-cargo
	@sh tests/needs.sh build
	$(CARGO) build --release

# Everything: unit, property and integration tests, debug against release, scikit-learn parity, instructions per packet.
# One recipe after the other, not two prerequisites: a build before `needs` would miss the compilers.
test: needs
	$(CARGO) build --release
	PHANTOMNET_RELEASE=$(abspath $(SENSOR)) $(CARGO) test
	$(CARGO) bench --bench instructions

# How many instructions each stage takes per packet; fails when one takes 5 % more than the baseline, bench/README.md.
instructions: needs
	$(CARGO) bench --bench instructions

instructions-baseline: needs
	$(CARGO) bench --bench instructions -- --write-baseline

# What the tests and the fuzzer need beyond Rust; says what it installs.
needs:
	@sh tests/needs.sh

lint: needs
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path book/Cargo.toml
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items
	$(CARGO) check --locked --manifest-path fuzz/Cargo.toml --target-dir target
