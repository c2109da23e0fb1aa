# Two commands matter: `make run` shows the sensor at work, `make test` proves it.

CARGO ?= cargo
SENSOR = target/release/phantomnet
DEMO = target/demo

.PHONY: run test build lint needs clean-demo

# Generates labelled traffic with attacks in it, and replays it through the whole data path.
run: build
	@test -f $(DEMO)/traffic.pcap || $(SENSOR) dataset generate --out $(DEMO) --packets 300000 --seed 1
	$(SENSOR) replay $(DEMO)/traffic.pcap

build:
	$(CARGO) build --release

# Everything: unit, property and integration tests, debug against release, scikit-learn parity.
test: needs build
	PHANTOMNET_RELEASE=$(abspath $(SENSOR)) $(CARGO) test

# What the tests need beyond Rust; says what it installs.
needs:
	@sh tests/needs.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items

clean-demo:
	rm -rf $(DEMO)
