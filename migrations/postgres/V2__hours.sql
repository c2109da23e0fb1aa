-- PhantomNet, schema 2: sums by hour beside those by minute. A month of minutes is too much to add up for one answer.

-- What an older writer is about to commit would be missing in the hours: it is waited for.
LOCK TABLE event_minutes IN SHARE MODE;

-- As event_minutes, by the hour of the first packet.
CREATE TABLE event_hours (
    hour         timestamptz NOT NULL, -- where it begins
    verdict      smallint    NOT NULL,
    epoch        bigint      NOT NULL,
    events       bigint      NOT NULL,
    packets      bigint      NOT NULL,
    alerts       bigint      NOT NULL,
    weight       bigint      NOT NULL,
    score_micros bigint      NOT NULL,
    PRIMARY KEY (hour, verdict, epoch)
) WITH (fillfactor = 50);

-- The bins are counted from before all moments. The first hour that a sensor can name begins in 1677.
INSERT INTO event_hours (hour, verdict, epoch, events, packets, alerts, weight, score_micros)
SELECT greatest(date_bin(interval '1 hour', minute, timestamptz '1600-01-01 00:00:00Z'), timestamptz '1677-09-21 01:00:00Z'),
       verdict, epoch, sum(events)::bigint,
       least(sum(packets), 9223372036854775807)::bigint, least(sum(alerts), 9223372036854775807)::bigint,
       least(sum(weight), 9223372036854775807)::bigint, least(sum(score_micros), 9223372036854775807)::bigint
FROM event_minutes GROUP BY 1, 2, 3;

-- Statistics count the profiles that overlap a span. With both ends in the index no profile is looked at.
DROP INDEX source_profiles_newest;
CREATE INDEX source_profiles_newest ON source_profiles (last_time DESC, source DESC, tenant DESC) INCLUDE (time);
