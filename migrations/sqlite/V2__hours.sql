-- PhantomNet, schema 2: sums by hour beside those by minute. A month of minutes is too much to add up for one answer.

-- As event_minutes, by the hour of the first packet.
CREATE TABLE event_hours (
    hour         INTEGER     NOT NULL, -- where it begins
    verdict      INTEGER     NOT NULL,
    epoch        INTEGER     NOT NULL,
    events       INTEGER     NOT NULL,
    packets      INTEGER     NOT NULL,
    alerts       INTEGER     NOT NULL,
    weight       INTEGER     NOT NULL,
    score_micros INTEGER     NOT NULL,
    PRIMARY KEY (hour, verdict, epoch)
) WITHOUT ROWID;

-- Division rounds towards 0, hours begin before their moments. The first hour that a sensor can name begins in 1677.
INSERT INTO event_hours (hour, verdict, epoch, events, packets, alerts, weight, score_micros)
SELECT max(minute - (minute % 3600000000 + 3600000000) % 3600000000, -9223369200000000),
       verdict, epoch, sum(events), sum(packets), sum(alerts), sum(weight), sum(score_micros)
FROM event_minutes GROUP BY 1, 2, 3;

-- Statistics count the profiles that overlap a span. With both ends in the index no profile is looked at.
DROP INDEX source_profiles_newest;
CREATE INDEX source_profiles_newest ON source_profiles (last_time DESC, source DESC, tenant DESC, time);
