//! One program for all tests that use the crate from outside, so that it links once.

mod support; // the program, generated traffic, places to write to
mod cluster; // a PostgreSQL server of the tests' own
mod running; // a running sensor, as the API sees it
mod batches; // batches of events, large ones from a seed and odd ones
mod demo; // a running demonstration
mod terminal; // a program in a terminal of its own
mod places; // fresh stores of both kinds, and a model of what they hold
mod netns; // wires between network namespaces, and what sends frames into them

mod af_packet; // packet sockets on a wire: every frame once, and every one counted
mod af_xdp; // AF_XDP sockets on wires: each way to lose a frame, and the counter that shows it
mod api; // the HTTP server from outside: what it refuses, what every answer carries
mod api_manual; // the lines of docs/API.md, run as printed
mod api_server; // that server over a hand-made sensor
mod api_stored; // that server over a real store: what is kept is what is answered
mod another_program; // XDP programs of others: left, replaced where that is asked for, waited for
mod appliance; // captures in, rows of a real store out, and the sums that prove it
mod architecture; // who imports whom, what the data path does without, how files look
mod book; // the book of docs: every link in it, every line to type
mod browser; // the dashboard, in a real browser
mod capture; // captures of others, and other programs on captures written here
mod cli; // what each command refuses, and how it says so
mod compare; // the comparison with peers, without the peers
mod corpus; // real captures through the whole data path, against the oracle
mod crew; // a worker panics: the others end in order, the loss is stated
mod decode; // real frames, and another decoder
mod detection; // one snapshot, one version, replaced whole or not at all
mod doctor; // a box, a port and a tap with something wrong, and the command that mends it
mod evaluate; // labels and judged packets in, detection quality out
mod explain; // an event of a running sensor in words
mod features; // each of the 15, against an oracle that looks at every earlier packet again
mod grants; // real-time workers, memory that stays, cores of their own
mod instruction_gate; // instructions per packet against the baseline: what fails, what passes
mod intel; // feeds on disk in, what is known of an address out
mod manual; // manual pages and completions, read by groff and bash
mod metrics; // figures, read by another parser, held against the manual and the alert rules
mod oracle; // that oracle
mod openapi; // the committed contract against the handlers
mod json; // one JSON object in place of each page
mod killed; // kill -9 in mid-run: nothing doubled, the loss stated
mod life; // an interface goes down, is deleted, made again, gets more queues
mod live; // a sensor on a wire: frame by frame, and judged as in a replay of the same frames
mod makefile; // the program is built, then shown
mod outage; // the database goes away, and nothing is lost
mod outputs; // EVE, syslog, webhook: against the schema, rsyslogd, an HTTP server that is not ours
mod progress; // how far long work is, on a terminal
mod prometheus; // a real Prometheus: scrapes, alerts, what the dashboards for Grafana ask
mod postgres; // the writing side against a real server: kept to the bit, exactly once, whatever breaks
mod queries; // every question to both stores, against a plain list of the same rows
mod reload; // SIGHUP: what judges is read again, under traffic too
mod replay; // capture files in, verdicts out: the whole data path
mod rules; // the default rules against attacks, honest texts and captures
mod rust_source; // words and paths of Rust source, for architecture
mod sampled; // a sampled run: what the store says of it is what the stream said
mod schemathesis; // the HTTP server against what its own document promises
mod sklearn_parity; // imported forests against the scores of scikit-learn
mod stream; // server-sent events over real sockets: seams, slow clients, the end
mod spool; // a full disk, kill -9: what the writer keeps on disk
mod spoofed; // a flood from forged addresses: nothing grows, and who was there is known after it
mod store; // the contract of a store, held against both: rows, ledger, audit, retention
mod synth; // the traffic generator, seen from the wire: frames, labels, conversations
mod systemd; // the units as systemd sees them, a capture port for real, the package
mod top; // a running sensor on a terminal, and once as text and JSON
mod turnover; // one detection after another while packets come: at one packet, for everybody
mod wires; // the wires themselves: what is sent arrives once, and nothing of them is left
mod watchdog; // a service manager hears that the sensor is ready, moves, stands still, stops
