-- PhantomNet, schema 1. Applied by `phantomnet migrate`; the numbers of both folders of migrations agree.

-- One run of a sensor.
CREATE TABLE epochs (
    epoch      INTEGER      PRIMARY KEY,
    sensor     TEXT        NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    state      INTEGER NOT NULL DEFAULT 1, -- 1 going on (or died), 2 ended in order, 3 found dead by a later start
    -- Sums over its rows of ingest_batches, so that nobody has to add up millions of them.
    batches             INTEGER NOT NULL DEFAULT 0,
    rows                INTEGER NOT NULL DEFAULT 0,
    packets             INTEGER NOT NULL DEFAULT 0,
    alerts              INTEGER NOT NULL DEFAULT 0,
    quarantined_rows    INTEGER NOT NULL DEFAULT 0,
    quarantined_packets INTEGER NOT NULL DEFAULT 0,
    quarantined_alerts  INTEGER NOT NULL DEFAULT 0
);

-- Events. Times are microseconds since 1970-01-01T00:00:00Z, addresses 16 bytes in network order (IPv4 mapped),
-- lists of rules JSON, features 15 little-endian 32-bit floats.
CREATE TABLE packet_logs (
    time              INTEGER NOT NULL, -- first packet
    last_time         INTEGER NOT NULL,
    recorded_at       INTEGER NOT NULL, -- when the row was written, by the sensor's clock
    epoch             INTEGER      NOT NULL,
    number            INTEGER      NOT NULL, -- within the epoch, from 1, without gaps
    packet            INTEGER      NOT NULL, -- number of the worst packet
    count             INTEGER      NOT NULL, -- packets judged; 0 for an event about a victim
    alerts            INTEGER      NOT NULL, -- verdicts about a victim; 0 for an event about packets
    weight            INTEGER      NOT NULL, -- packets represented, those left out by sampling included
    bytes             INTEGER      NOT NULL, -- on the wire, of the packets counted
    detection         INTEGER      NOT NULL, -- models.detection
    length            INTEGER     NOT NULL, -- on the wire, of the worst packet
    src_port          INTEGER,
    dst_port          INTEGER,
    vlan              INTEGER     NOT NULL, -- 0 for none
    sources           INTEGER      NOT NULL, -- seen by a rule counting by destination
    threat_score      REAL        NOT NULL, -- 0 to 1
    model_risk        REAL        NOT NULL, -- 0 to 100
    rule_risk         REAL        NOT NULL,
    intel_risk        REAL        NOT NULL,
    anomaly_score     REAL, -- 0 ordinary, 1 unique; null for an event about a victim
    quantile          REAL,
    protocol          INTEGER    NOT NULL, -- IANA number
    icmp_type         INTEGER,
    icmp_code         INTEGER,
    verdict           INTEGER    NOT NULL, -- 0 SAFE, 1 WARNING, 2 HIGH, 3 CRITICAL
    floor             INTEGER    NOT NULL,
    merged            INTEGER    NOT NULL, -- 0 nothing, 1 source, 2 and port, 3 and destination
    rules_left_out    INTEGER    NOT NULL,
    intel_matched     INTEGER, -- 0 source, 1 destination
    in_training_range INTEGER,
    src_ip            BLOB, -- null where merged over sources
    dst_ip            BLOB,
    features          BLOB, -- 15, in the order of the schema; null for an event about a victim
    rules             TEXT        NOT NULL, -- signature ids
    intel_label       TEXT,
    decoy             TEXT,
    reason            TEXT        NOT NULL,
    community_id      TEXT,
    PRIMARY KEY (epoch, number, time)
);

-- Ascending, though lists read it backwards: what comes last then lies at the end, where SQLite adds most cheaply.
CREATE INDEX packet_logs_newest ON packet_logs (time, epoch, number);
-- The verdict last: what one address is worst at is found without looking at its other rows.
CREATE INDEX packet_logs_source ON packet_logs (src_ip, time, epoch, number, verdict);
CREATE INDEX packet_logs_destination ON packet_logs (dst_ip, time, epoch, number, verdict);
CREATE INDEX packet_logs_notable ON packet_logs (verdict, time, epoch, number) WHERE verdict > 0;
-- What retention removes first; it grows at its end alone, so it costs next to nothing.
CREATE INDEX packet_logs_recorded ON packet_logs (recorded_at);

-- The events that a rule fired for, by rule.
CREATE TABLE event_rules (
    rule   INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    epoch  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (rule, time, epoch, number)
) WITHOUT ROWID;

-- Sums of packet_logs by minute of the first packet and verdict, kept in the same transaction: what statistics over hours and
-- days are made of. What retention removes is taken out.
CREATE TABLE event_minutes (
    minute       INTEGER     NOT NULL, -- where it begins
    verdict      INTEGER     NOT NULL,
    epoch        INTEGER     NOT NULL,
    events       INTEGER     NOT NULL, -- rows
    packets      INTEGER     NOT NULL, -- the sum of their counts
    alerts       INTEGER     NOT NULL, -- the sum of their alerts
    weight       INTEGER     NOT NULL, -- the sum of their weights: packets represented
    score_micros INTEGER     NOT NULL, -- the sum of weight times threat_score, in millionths
    PRIMARY KEY (minute, verdict, epoch)
) WITHOUT ROWID;

-- For people with sqlite3: the same with words.
CREATE VIEW events AS
SELECT printf('%016x', epoch) AS epoch, number,
       strftime('%Y-%m-%dT%H:%M:%fZ', time / 1000000.0, 'unixepoch') AS time, src_ip, src_port, dst_ip, dst_port, protocol,
       CASE verdict WHEN 0 THEN 'SAFE' WHEN 1 THEN 'WARNING' WHEN 2 THEN 'HIGH' ELSE 'CRITICAL' END AS verdict,
       count, alerts, weight, bytes, threat_score, reason, rules, intel_label, decoy
FROM packet_logs;

CREATE TABLE sessions (
    epoch    INTEGER      NOT NULL,
    number   INTEGER      NOT NULL,
    source   BLOB        NOT NULL,
    tenant   INTEGER     NOT NULL,
    time     INTEGER NOT NULL, -- first packet
    last_time INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    packets  INTEGER      NOT NULL,
    bytes    INTEGER      NOT NULL,
    safe     INTEGER      NOT NULL,
    warning  INTEGER      NOT NULL,
    high     INTEGER      NOT NULL,
    critical INTEGER      NOT NULL,
    worst    INTEGER    NOT NULL,
    rules    TEXT        NOT NULL,
    state    INTEGER    NOT NULL, -- 0 open, 1 idle, 2 evicted, 3 stopped
    PRIMARY KEY (epoch, number)
);
CREATE INDEX sessions_recorded ON sessions (recorded_at);
CREATE INDEX sessions_newest ON sessions (time DESC, epoch DESC, number DESC);
CREATE INDEX sessions_source ON sessions (source, time, epoch, number);
CREATE INDEX sessions_notable ON sessions (time DESC, epoch DESC, number DESC) WHERE worst > 0;

CREATE TABLE incidents (
    epoch       INTEGER      NOT NULL,
    number      INTEGER      NOT NULL,
    subject     BLOB, -- null where merged over everything
    side        INTEGER    NOT NULL, -- 0 the subject is the source, 1 the destination
    kind        TEXT        NOT NULL,
    title       TEXT        NOT NULL,
    time        INTEGER NOT NULL, -- first packet
    last_time   INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    count       INTEGER      NOT NULL,
    events      INTEGER      NOT NULL,
    worst       INTEGER    NOT NULL,
    worst_event INTEGER      NOT NULL, -- number of the event
    rules       TEXT        NOT NULL,
    state       INTEGER    NOT NULL DEFAULT 0, -- 0 open, 1 acknowledged, 2 closed; an event after closing opens it again
    note        TEXT,
    changed_at  INTEGER, -- when a person last changed state or note
    PRIMARY KEY (epoch, number)
);
CREATE INDEX incidents_recorded ON incidents (recorded_at);
CREATE INDEX incidents_newest ON incidents (last_time DESC, epoch DESC, number DESC);
CREATE INDEX incidents_subject ON incidents (subject, last_time, epoch, number);

CREATE TABLE source_profiles (
    source    BLOB        NOT NULL,
    tenant    INTEGER     NOT NULL,
    time      INTEGER NOT NULL, -- first packet ever
    last_time INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    sessions  INTEGER      NOT NULL,
    packets   INTEGER      NOT NULL,
    bytes     INTEGER      NOT NULL,
    safe      INTEGER      NOT NULL,
    warning   INTEGER      NOT NULL,
    high      INTEGER      NOT NULL,
    critical  INTEGER      NOT NULL,
    PRIMARY KEY (source, tenant)
);
CREATE INDEX source_profiles_newest ON source_profiles (last_time DESC, source DESC, tenant DESC);

-- The ledger: a batch is here if and only if it was committed.
CREATE TABLE ingest_batches (
    sensor              TEXT        NOT NULL,
    epoch               INTEGER      NOT NULL,
    batch_no            INTEGER      NOT NULL,
    committed_at        INTEGER NOT NULL,
    rows                INTEGER      NOT NULL, -- events in the batch, quarantined ones included
    packets             INTEGER      NOT NULL, -- the sum of their counts
    alerts              INTEGER      NOT NULL, -- the sum of their alerts
    quarantined_rows    INTEGER      NOT NULL,
    quarantined_packets INTEGER      NOT NULL,
    quarantined_alerts  INTEGER      NOT NULL,
    PRIMARY KEY (sensor, epoch, batch_no)
);

-- Markers: the sensor's own sums, written with the batch that they were made in.
CREATE TABLE accounting (
    epoch         INTEGER      NOT NULL,
    number        INTEGER      NOT NULL,
    at            INTEGER NOT NULL,
    kind          INTEGER    NOT NULL, -- 0 start, 1 running, 2 end, 3 crashed
    dequeued      INTEGER      NOT NULL,
    packets       INTEGER      NOT NULL,
    victims       INTEGER      NOT NULL,
    sampled_out   INTEGER      NOT NULL,
    open_packets  INTEGER      NOT NULL,
    open_alerts   INTEGER      NOT NULL,
    events        INTEGER      NOT NULL,
    event_packets INTEGER      NOT NULL,
    event_alerts  INTEGER      NOT NULL,
    stages        TEXT        NOT NULL, -- JSON: [{"stage","came","accounted"}]
    PRIMARY KEY (epoch, number)
);

-- Rows that the store would not take, whole, with the reason.
CREATE TABLE quarantine (
    epoch       INTEGER      NOT NULL,
    number      INTEGER      NOT NULL, -- of the event
    batch_no    INTEGER      NOT NULL,
    recorded_at INTEGER NOT NULL,
    count       INTEGER      NOT NULL,
    alerts      INTEGER      NOT NULL,
    reason      TEXT        NOT NULL,
    event       TEXT        NOT NULL, -- JSON, escaped
    PRIMARY KEY (epoch, number)
);

-- Rows of ingest_batches that are old, added up; and how many rows of accounting were thinned out. A batch up to `upto` was
-- committed, if it was not refused.
CREATE TABLE folded_batches (
    sensor              TEXT NOT NULL,
    epoch               INTEGER NOT NULL,
    upto                INTEGER NOT NULL, -- the largest batch_no
    batches             INTEGER NOT NULL,
    rows                INTEGER NOT NULL,
    packets             INTEGER NOT NULL,
    alerts              INTEGER NOT NULL,
    quarantined_rows    INTEGER NOT NULL,
    quarantined_packets INTEGER NOT NULL,
    quarantined_alerts  INTEGER NOT NULL,
    markers_upto        INTEGER NOT NULL DEFAULT -1, -- the largest number of a marker that was looked at
    markers             INTEGER NOT NULL DEFAULT 0,  -- how many were removed
    PRIMARY KEY (sensor, epoch)
);

-- What was committed of each run, folded or not.
CREATE VIEW ledger AS
SELECT sensor, epoch, sum(batches) AS batches, max(upto) AS upto,
       sum(rows) AS rows, sum(packets) AS packets, sum(alerts) AS alerts, sum(quarantined_rows) AS quarantined_rows, sum(quarantined_packets) AS quarantined_packets, sum(quarantined_alerts) AS quarantined_alerts
FROM (SELECT sensor, epoch, 1 AS batches, batch_no AS upto, rows, packets, alerts,
             quarantined_rows, quarantined_packets, quarantined_alerts FROM ingest_batches
      UNION ALL
      SELECT sensor, epoch, batches, upto, rows, packets, alerts,
             quarantined_rows, quarantined_packets, quarantined_alerts FROM folded_batches) AS parts
GROUP BY sensor, epoch;

-- Batches that found no place to wait for the store: refused and counted by the sensor, one right behind the other. The next
-- batch that was not refused brings the row.
CREATE TABLE refused_batches (
    epoch       INTEGER NOT NULL,
    first_batch INTEGER NOT NULL,
    last_batch  INTEGER NOT NULL,
    upto        INTEGER NOT NULL, -- the largest number of an event in them
    rows        INTEGER NOT NULL,
    packets     INTEGER NOT NULL,
    alerts      INTEGER NOT NULL,
    markers     INTEGER NOT NULL, -- how many of accounting they would have brought
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (epoch, last_batch)
);

-- What retention has removed of packet_logs, by epoch and run of retention.
CREATE TABLE pruned (
    epoch   INTEGER      NOT NULL,
    at      INTEGER NOT NULL,
    upto    INTEGER      NOT NULL, -- the largest number removed
    rows    INTEGER      NOT NULL,
    packets INTEGER      NOT NULL,
    alerts  INTEGER      NOT NULL
);
CREATE INDEX pruned_epoch ON pruned (epoch);

-- What people say of events.
CREATE TABLE labels (
    epoch   INTEGER      NOT NULL,
    number  INTEGER      NOT NULL,
    label   TEXT        NOT NULL, -- malicious, benign, unsure
    note    TEXT,
    at      INTEGER NOT NULL,
    PRIMARY KEY (epoch, number)
);

-- What judged: a detection's version and what it was made of.
CREATE TABLE models (
    detection        INTEGER           PRIMARY KEY,
    name             TEXT             NOT NULL,
    sha256           TEXT             NOT NULL,
    schema           INTEGER          NOT NULL,
    fingerprint      TEXT             NOT NULL,
    ai_offset        REAL NOT NULL,
    contamination    REAL NOT NULL,
    calibration_rows INTEGER           NOT NULL,
    rules            INTEGER           NOT NULL,
    intel            INTEGER           NOT NULL,
    decoys           INTEGER           NOT NULL,
    first_used_at    INTEGER      NOT NULL
);
