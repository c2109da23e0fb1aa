-- PhantomNet, schema 1. Applied by `phantomnet migrate`; the numbers of both folders of migrations agree.

-- One run of a sensor.
CREATE TABLE epochs (
    epoch      bigint      PRIMARY KEY,
    sensor     text        NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    state      smallint NOT NULL DEFAULT 1, -- 1 going on (or died), 2 ended in order, 3 found dead by a later start
    -- Sums over its rows of ingest_batches, so that nobody has to add up millions of them.
    batches             bigint NOT NULL DEFAULT 0,
    rows                bigint NOT NULL DEFAULT 0,
    packets             bigint NOT NULL DEFAULT 0,
    alerts              bigint NOT NULL DEFAULT 0,
    quarantined_rows    bigint NOT NULL DEFAULT 0,
    quarantined_packets bigint NOT NULL DEFAULT 0,
    quarantined_alerts  bigint NOT NULL DEFAULT 0
);

-- Events. Rows go into the partition of the day of their first packet; where there is none, into the default one.
CREATE TABLE packet_logs (
    time              timestamptz NOT NULL, -- first packet
    last_time         timestamptz NOT NULL,
    recorded_at       timestamptz NOT NULL, -- when the row was written, by the sensor's clock
    epoch             bigint      NOT NULL,
    number            bigint      NOT NULL, -- within the epoch, from 1, without gaps
    packet            bigint      NOT NULL, -- number of the worst packet
    count             bigint      NOT NULL, -- packets judged; 0 for an event about a victim
    alerts            bigint      NOT NULL, -- verdicts about a victim; 0 for an event about packets
    weight            bigint      NOT NULL, -- packets represented, those left out by sampling included
    bytes             bigint      NOT NULL, -- on the wire, of the packets counted
    detection         bigint      NOT NULL, -- models.detection
    length            bigint      NOT NULL, -- on the wire, of the worst packet
    src_port          integer,
    dst_port          integer,
    vlan              integer     NOT NULL, -- 0 for none
    sources           bigint      NOT NULL, -- seen by a rule counting by destination
    threat_score      real        NOT NULL, -- 0 to 1
    model_risk        real        NOT NULL, -- 0 to 100
    rule_risk         real        NOT NULL,
    intel_risk        real        NOT NULL,
    anomaly_score     real, -- 0 ordinary, 1 unique; null for an event about a victim
    quantile          real,
    protocol          smallint    NOT NULL, -- IANA number
    icmp_type         smallint,
    icmp_code         smallint,
    verdict           smallint    NOT NULL, -- 0 SAFE, 1 WARNING, 2 HIGH, 3 CRITICAL
    floor             smallint    NOT NULL,
    merged            smallint    NOT NULL, -- 0 nothing, 1 source, 2 and port, 3 and destination
    rules_left_out    smallint    NOT NULL,
    intel_matched     smallint, -- 0 source, 1 destination
    in_training_range boolean,
    src_ip            inet, -- null where merged over sources
    dst_ip            inet,
    features          real[], -- 15, in the order of the schema; null for an event about a victim
    rules             bigint[]    NOT NULL, -- signature ids
    intel_label       text,
    decoy             text,
    reason            text        NOT NULL,
    community_id      text,
    PRIMARY KEY (epoch, number, time)
) PARTITION BY RANGE (time);

CREATE TABLE packet_logs_default PARTITION OF packet_logs DEFAULT;

-- What is too old is found by when it was recorded. Tiny: rows come in that order.
CREATE INDEX packet_logs_recorded ON packet_logs USING brin (recorded_at);

CREATE INDEX packet_logs_newest ON packet_logs (time DESC, epoch DESC, number DESC);
-- The verdict last: what one address is worst at is found without looking at its other rows.
CREATE INDEX packet_logs_source ON packet_logs (src_ip, time, epoch, number, verdict);
CREATE INDEX packet_logs_destination ON packet_logs (dst_ip, time, epoch, number, verdict);
CREATE INDEX packet_logs_notable ON packet_logs (verdict, time, epoch, number) WHERE verdict > 0;

-- The events that a rule fired for, by rule: in the order of a list, which an index on arrays has not. Partitions as those of packet_logs.
CREATE TABLE event_rules (
    rule   bigint      NOT NULL,
    time   timestamptz NOT NULL,
    epoch  bigint      NOT NULL,
    number bigint      NOT NULL,
    PRIMARY KEY (rule, time, epoch, number)
) PARTITION BY RANGE (time);

CREATE TABLE event_rules_default PARTITION OF event_rules DEFAULT;

-- Sums of packet_logs by minute of the first packet and verdict, kept in the same transaction: what statistics over hours and
-- days are made of. What retention removes is taken out.
CREATE TABLE event_minutes (
    minute       timestamptz NOT NULL, -- where it begins
    verdict      smallint    NOT NULL,
    epoch        bigint      NOT NULL,
    events       bigint      NOT NULL, -- rows
    packets      bigint      NOT NULL, -- the sum of their counts
    alerts       bigint      NOT NULL, -- the sum of their alerts
    weight       bigint      NOT NULL, -- the sum of their weights: packets represented
    score_micros bigint      NOT NULL, -- the sum of weight times threat_score, in millionths
    PRIMARY KEY (minute, verdict, epoch)
) WITH (fillfactor = 50);

-- For people with psql: the same with words.
CREATE VIEW events AS
SELECT to_hex(epoch) AS epoch, number, time, last_time, src_ip, src_port, dst_ip, dst_port, protocol,
       (ARRAY['SAFE', 'WARNING', 'HIGH', 'CRITICAL'])[verdict + 1] AS verdict,
       count, alerts, weight, bytes, threat_score, reason, rules, intel_label, decoy, features
FROM packet_logs;

CREATE TABLE sessions (
    epoch    bigint      NOT NULL,
    number   bigint      NOT NULL,
    source   inet        NOT NULL,
    tenant   integer     NOT NULL,
    time     timestamptz NOT NULL, -- first packet
    last_time timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    packets  bigint      NOT NULL,
    bytes    bigint      NOT NULL,
    safe     bigint      NOT NULL,
    warning  bigint      NOT NULL,
    high     bigint      NOT NULL,
    critical bigint      NOT NULL,
    worst    smallint    NOT NULL,
    rules    bigint[]    NOT NULL,
    state    smallint    NOT NULL, -- 0 open, 1 idle, 2 evicted, 3 stopped
    PRIMARY KEY (epoch, number)
);
CREATE INDEX sessions_newest ON sessions (time DESC, epoch DESC, number DESC);
CREATE INDEX sessions_source ON sessions (source, time, epoch, number);
CREATE INDEX sessions_notable ON sessions (time DESC, epoch DESC, number DESC) WHERE worst > 0;

-- Rows come in the order of their time, so that a few ranges say where the old ones end.
CREATE INDEX sessions_recorded ON sessions USING brin (recorded_at);

CREATE TABLE incidents (
    epoch       bigint      NOT NULL,
    number      bigint      NOT NULL,
    subject     inet, -- null where merged over everything
    side        smallint    NOT NULL, -- 0 the subject is the source, 1 the destination
    kind        text        NOT NULL,
    title       text        NOT NULL,
    time        timestamptz NOT NULL, -- first packet
    last_time   timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    count       bigint      NOT NULL,
    events      bigint      NOT NULL,
    worst       smallint    NOT NULL,
    worst_event bigint      NOT NULL, -- number of the event
    rules       bigint[]    NOT NULL,
    state       smallint    NOT NULL DEFAULT 0, -- 0 open, 1 acknowledged, 2 closed; an event after closing opens it again
    note        text,
    changed_at  timestamptz, -- when a person last changed state or note
    PRIMARY KEY (epoch, number)
);
CREATE INDEX incidents_newest ON incidents (last_time DESC, epoch DESC, number DESC);
CREATE INDEX incidents_subject ON incidents (subject, last_time, epoch, number);

CREATE INDEX incidents_recorded ON incidents USING brin (recorded_at);

CREATE TABLE source_profiles (
    source    inet        NOT NULL,
    tenant    integer     NOT NULL,
    time      timestamptz NOT NULL, -- first packet ever
    last_time timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    sessions  bigint      NOT NULL,
    packets   bigint      NOT NULL,
    bytes     bigint      NOT NULL,
    safe      bigint      NOT NULL,
    warning   bigint      NOT NULL,
    high      bigint      NOT NULL,
    critical  bigint      NOT NULL,
    PRIMARY KEY (source, tenant)
);
CREATE INDEX source_profiles_newest ON source_profiles (last_time DESC, source DESC, tenant DESC);

-- The ledger: a batch is here if and only if it was committed.
CREATE TABLE ingest_batches (
    sensor              text        NOT NULL,
    epoch               bigint      NOT NULL,
    batch_no            bigint      NOT NULL,
    committed_at        timestamptz NOT NULL,
    rows                bigint      NOT NULL, -- events in the batch, quarantined ones included
    packets             bigint      NOT NULL, -- the sum of their counts
    alerts              bigint      NOT NULL, -- the sum of their alerts
    quarantined_rows    bigint      NOT NULL,
    quarantined_packets bigint      NOT NULL,
    quarantined_alerts  bigint      NOT NULL,
    PRIMARY KEY (sensor, epoch, batch_no)
);

-- Markers: the sensor's own sums, written with the batch that they were made in.
CREATE TABLE accounting (
    epoch         bigint      NOT NULL,
    number        bigint      NOT NULL,
    at            timestamptz NOT NULL,
    kind          smallint    NOT NULL, -- 0 start, 1 running, 2 end, 3 crashed
    dequeued      bigint      NOT NULL,
    packets       bigint      NOT NULL,
    victims       bigint      NOT NULL,
    sampled_out   bigint      NOT NULL,
    open_packets  bigint      NOT NULL,
    open_alerts   bigint      NOT NULL,
    events        bigint      NOT NULL,
    event_packets bigint      NOT NULL,
    event_alerts  bigint      NOT NULL,
    stages        text        NOT NULL, -- JSON: [{"stage","came","accounted"}]
    PRIMARY KEY (epoch, number)
);

-- Rows that the store would not take, whole, with the reason.
CREATE TABLE quarantine (
    epoch       bigint      NOT NULL,
    number      bigint      NOT NULL, -- of the event
    batch_no    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    count       bigint      NOT NULL,
    alerts      bigint      NOT NULL,
    reason      text        NOT NULL,
    event       text        NOT NULL, -- JSON, escaped
    PRIMARY KEY (epoch, number)
);

-- Rows of ingest_batches that are old, added up; and how many rows of accounting were thinned out. A batch up to `upto` was
-- committed, if it was not refused.
CREATE TABLE folded_batches (
    sensor              text NOT NULL,
    epoch               bigint NOT NULL,
    upto                bigint NOT NULL, -- the largest batch_no
    batches             bigint NOT NULL,
    rows                bigint NOT NULL,
    packets             bigint NOT NULL,
    alerts              bigint NOT NULL,
    quarantined_rows    bigint NOT NULL,
    quarantined_packets bigint NOT NULL,
    quarantined_alerts  bigint NOT NULL,
    markers_upto        bigint NOT NULL DEFAULT -1, -- the largest number of a marker that was looked at
    markers             bigint NOT NULL DEFAULT 0,  -- how many were removed
    PRIMARY KEY (sensor, epoch)
);

-- What was committed of each run, folded or not.
CREATE VIEW ledger AS
SELECT sensor, epoch, sum(batches)::bigint AS batches, max(upto) AS upto,
       sum(rows)::bigint AS rows, sum(packets)::bigint AS packets, sum(alerts)::bigint AS alerts, sum(quarantined_rows)::bigint AS quarantined_rows, sum(quarantined_packets)::bigint AS quarantined_packets, sum(quarantined_alerts)::bigint AS quarantined_alerts
FROM (SELECT sensor, epoch, 1 AS batches, batch_no AS upto, rows, packets, alerts,
             quarantined_rows, quarantined_packets, quarantined_alerts FROM ingest_batches
      UNION ALL
      SELECT sensor, epoch, batches, upto, rows, packets, alerts,
             quarantined_rows, quarantined_packets, quarantined_alerts FROM folded_batches) AS parts
GROUP BY sensor, epoch;

-- Batches that found no place to wait for the store: refused and counted by the sensor, one right behind the other. The next
-- batch that was not refused brings the row.
CREATE TABLE refused_batches (
    epoch       bigint NOT NULL,
    first_batch bigint NOT NULL,
    last_batch  bigint NOT NULL,
    upto        bigint NOT NULL, -- the largest number of an event in them
    rows        bigint NOT NULL,
    packets     bigint NOT NULL,
    alerts      bigint NOT NULL,
    markers     bigint NOT NULL, -- how many of accounting they would have brought
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (epoch, last_batch)
);

-- What retention has removed of packet_logs, by epoch and run of retention.
CREATE TABLE pruned (
    epoch   bigint      NOT NULL,
    at      timestamptz NOT NULL,
    upto    bigint      NOT NULL, -- the largest number removed
    rows    bigint      NOT NULL,
    packets bigint      NOT NULL,
    alerts  bigint      NOT NULL
);
CREATE INDEX pruned_epoch ON pruned (epoch);

-- What people say of events.
CREATE TABLE labels (
    epoch   bigint      NOT NULL,
    number  bigint      NOT NULL,
    label   text        NOT NULL, -- malicious, benign, unsure
    note    text,
    at      timestamptz NOT NULL,
    PRIMARY KEY (epoch, number)
);

-- What judged: a detection's version and what it was made of.
CREATE TABLE models (
    detection        bigint           PRIMARY KEY,
    name             text             NOT NULL,
    sha256           text             NOT NULL,
    schema           integer          NOT NULL,
    fingerprint      text             NOT NULL,
    ai_offset        double precision NOT NULL,
    contamination    double precision NOT NULL,
    calibration_rows bigint           NOT NULL,
    rules            bigint           NOT NULL,
    intel            bigint           NOT NULL,
    decoys           bigint           NOT NULL,
    first_used_at    timestamptz      NOT NULL
);
