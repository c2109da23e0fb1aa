//! What a worker does for the sources that it owns: count, measure, score, judge.

use arrayvec::ArrayVec;

use crate::address::Address;
use crate::capture::TURN_FRAMES_MAX;
use crate::counters::Counters;
use crate::features::{FeatureParams, FeatureVector, Meter, PacketEvidence, SourceState};
use crate::handover::{Digest, Findings, Gathered, Marks, TURNS_TOGETHER_MAX};
use crate::intel::IntelEntryIndex;
use crate::model::AnomalyScore;
use crate::rules::{AttackClass, Place, RuleSet, Sighting, ThresholdTable};
use crate::sources::{Keyer, SHARDS, SourceKey, Table, TableParams, shard_of};
use crate::verdict::{Detection, Evidence, Floor, InForce, Level, Verdict};

/// How many verdicts a turn, or turns together, can give at most: one for each packet, and one for each copy that made a rule fire.
pub const TURN_VERDICTS_MAX: usize = 2 * TURN_FRAMES_MAX;

/// How many windows of counting rules are asked for ahead of time in one turn. What is beyond waits for them.
const TURN_WINDOWS_MAX: usize = 16 * TURN_FRAMES_MAX;

/// Which worker owns which address. The same on every worker.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    keyer: Keyer,
    workers: usize,
}

impl Placement {
    /// Shards dealt to `workers` workers (1 to [`SHARDS`]) in rotation.
    #[must_use]
    pub fn new(keyer: Keyer, workers: usize) -> Self {
        Self { keyer, workers: workers.clamp(1, SHARDS) }
    }

    /// How many workers share the shards.
    #[must_use]
    pub const fn workers(&self) -> usize {
        self.workers
    }

    /// The worker that owns `address`.
    #[must_use]
    pub fn owner_of(&self, address: Address, vlan: u16) -> usize {
        if self.workers == 1 {
            return 0;
        }
        let (_, hash) = self.keyer.key_of(address, vlan);
        usize::from(shard_of(hash)) % self.workers
    }
}

/// How much is remembered, by all owners together.
#[derive(Clone, Debug)]
pub struct OwnerParams {
    /// The table of sources.
    pub sources: TableParams,
    /// Counts of rules, one for each rule and address.
    pub thresholds: usize,
    /// What measuring needs.
    pub features: FeatureParams,
}

/// The states of the sources that one worker owns.
#[derive(Debug)]
pub struct Owner {
    placement: Placement,
    sources: Table<SourceState>,
    /// One place per shard, so that what is forgotten does not depend on the number of workers; `None` for shards of
    /// other workers.
    thresholds: Vec<Option<ThresholdTable>>,
    meter: Meter,
    /// Key and hash of each digest of the turn: of its source, or of its destination for a copy towards that.
    keys: Vec<(SourceKey, u64)>,
    /// The hashes of the sources alone.
    hashes: Vec<u64>,
    /// Windows that the turn's counting rules were found to have: shard and number.
    windows: Vec<(u8, usize)>,
}

impl Owner {
    /// The owner numbered `me`, with all the memory it will ever use.
    #[must_use]
    pub fn new(me: usize, placement: Placement, params: &OwnerParams) -> Self {
        let thresholds = |shard| {
            let owned = shard % placement.workers() == me;
            owned.then(|| ThresholdTable::new(params.thresholds / SHARDS))
        };
        Self {
            sources: Table::new(params.sources, me, placement.workers()),
            thresholds: (0..SHARDS).map(thresholds).collect(),
            meter: Meter::new(&params.features),
            keys: Vec::with_capacity(TURN_VERDICTS_MAX),
            hashes: Vec::with_capacity(TURN_VERDICTS_MAX),
            windows: Vec::with_capacity(TURN_WINDOWS_MAX),
            placement,
        }
    }

    /// Who owns what.
    #[must_use]
    pub const fn placement(&self) -> Placement {
        self.placement
    }

    /// Counts and measures every packet of a turn, in the order of the frames.
    pub fn measure(
        &mut self,
        turn: &Gathered,
        in_force: &InForce,
        due: &mut Due,
        counters: &mut Counters,
    ) {
        due.clear();
        self.hash_and_prefetch(turn, in_force);
        let keys = std::mem::take(&mut self.keys);
        let mut packets = turn.packets().zip(&keys);
        let mut begin = 0;
        for end in turn.ends() {
            for ((digest, findings), key) in packets.by_ref().take(end.digests - begin) {
                let detection = in_force.by_mark(digest.marks);
                if digest.marks.has(Marks::TOWARDS) {
                    counters.towards_counted += 1;
                    self.count_towards(digest, key, findings, detection, due);
                } else {
                    counters.scored += 1;
                    self.count_and_observe(digest, key, findings, detection, due);
                }
            }
            begin = end.digests;
            due.end_turn(end.number);
        }
        self.keys = keys;
    }

    /// Hashes every digest of the turn, then asks for the states they lead to: the misses of a whole turn overlap.
    fn hash_and_prefetch(&mut self, turn: &Gathered, in_force: &InForce) {
        self.keys.clear();
        self.hashes.clear();
        for digest in turn.digests() {
            let towards = digest.marks.has(Marks::TOWARDS);
            let address = if towards { digest.destination } else { digest.source };
            let (key, hash) = self.placement.keyer.key_of(address, digest.vlan);
            self.keys.push((key, hash));
            if !towards {
                self.hashes.push(hash);
            }
            if digest.marks.has(Marks::FINDINGS)
                && let Some(counts) = self.counts_of(hash)
            {
                counts.prefetch(place_of(digest, hash));
            }
        }
        self.sources.prefetch(&self.hashes);
        self.prefetch_windows(turn, in_force);
    }

    /// Asks for the windows of the turn's counting rules, then for what they have seen of different values.
    fn prefetch_windows(&mut self, turn: &Gathered, in_force: &InForce) {
        let mut windows = std::mem::take(&mut self.windows);
        windows.clear();
        for ((digest, findings), &(_, hash)) in turn.packets().zip(&self.keys) {
            if findings.rule_count > 0
                && let Some(counts) = self.counts_of(hash)
            {
                let rules = in_force.by_mark(digest.marks).rules();
                let counters = findings.rules().iter().filter_map(|&index| rules.counter(index));
                let shard = shard_of(hash);
                counts.prefetch_windows(place_of(digest, hash), counters, |number| {
                    if windows.len() < TURN_WINDOWS_MAX {
                        windows.push((shard, number));
                    }
                });
            }
        }
        for &(shard, number) in &windows {
            if let Some(Some(counts)) = self.thresholds.get(usize::from(shard)) {
                counts.prefetch_values(number);
            }
        }
        self.windows = windows;
    }

    /// What counts for the address with this hash.
    fn counts_of(&self, hash: u64) -> Option<&ThresholdTable> {
        self.thresholds.get(usize::from(shard_of(hash)))?.as_ref()
    }

    /// Adds what the tables have counted.
    pub fn report(&self, counters: &mut Counters) {
        counters.sources = counters.sources.plus(self.sources.counters());
        counters.thresholds_evicted +=
            self.thresholds.iter().flatten().map(ThresholdTable::evictions).sum::<u64>();
    }

    fn count_and_observe(
        &mut self,
        digest: &Digest,
        &(key, hash): &(SourceKey, u64),
        found: &Findings,
        detection: &Detection,
        due: &mut Due,
    ) {
        let kept;
        let findings = if found.rule_count > 0 {
            // By the source as the table knows it: a host that takes another address of its /64 stays the same.
            let seen = Sighting { source: key.network, ..Sighting::of(digest, key.tenant) };
            (kept, _) = self.keep_fired(digest, hash, found, detection.rules(), &seen);
            &kept
        } else {
            found
        };
        let known = Known::from(findings, detection);
        let evidence = known.packet_evidence(findings);
        let Self { sources, meter, .. } = self;
        let if_first = evidence.worth_if_first();
        let features = sources.visit(&key, hash, digest.time, if_first, |state| {
            state.observe(digest, &evidence, meter)
        });
        due.packet(digest, findings, known, features);
    }

    fn count_towards(
        &mut self,
        digest: &Digest,
        &(key, hash): &(SourceKey, u64),
        found: &Findings,
        detection: &Detection,
        due: &mut Due,
    ) {
        let seen = Sighting::of(digest, key.tenant);
        let (findings, sources) = self.keep_fired(digest, hash, found, detection.rules(), &seen);
        if findings.rule_count > 0 {
            due.victim(digest, &findings, Known::from(&findings, detection), sources);
        }
    }

    /// Of the findings, with the rules that fire alone: rules that count are asked their count. Besides the largest number of sources that a
    /// firing rule has counted.
    fn keep_fired(
        &mut self,
        digest: &Digest,
        hash: u64,
        found: &Findings,
        rules: &RuleSet,
        seen: &Sighting,
    ) -> (Findings, u32) {
        let place = place_of(digest, hash);
        let mut thresholds =
            self.thresholds.get_mut(usize::from(shard_of(hash))).and_then(Option::as_mut);
        let mut fired = Findings { rule_count: 0, ..*found };
        let mut sources = 0;
        for &index in found.rules().iter().filter(|&&index| rules.rule(index).is_some()) {
            let Some(counter) = rules.counter(index) else {
                fired.push_rule(index);
                continue;
            };
            let Some(thresholds) = &mut thresholds else { continue };
            let count = thresholds.count(place, counter, seen);
            if count.fires {
                fired.push_rule(index);
                sources = sources.max(count.distinct);
            }
        }
        (fired, sources)
    }
}

/// Where a digest is counted whose address has this hash.
fn place_of(digest: &Digest, hash: u64) -> Place {
    if digest.marks.has(Marks::TOWARDS) {
        Place::of_destination(hash, digest.destination)
    } else {
        Place::of_source(hash)
    }
}

/// What the fired rules and the intelligence say of a packet, in numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    rule_risk: f32,
    intel_risk: f32,
    classes: u16,
}

impl Known {
    fn from(findings: &Findings, detection: &Detection) -> Self {
        if findings.is_empty() {
            return Self::default();
        }
        let mut known = Self::default();
        for rule in detection.rules_at(findings.rules()) {
            let risk = f32::from(rule.risk);
            known.rule_risk = (known.rule_risk + risk).min(100.0);
            known.classes |= 1 << rule.class.index();
        }
        for number in [findings.intel_source, findings.intel_destination] {
            if let Some(entry) =
                IntelEntryIndex::decode(number).and_then(|index| detection.intel().entry(index))
            {
                known.intel_risk = known.intel_risk.max(f32::from(entry.risk));
                known.classes |= 1 << AttackClass::KnownBadAddress.index();
            }
        }
        known
    }

    const fn packet_evidence(&self, findings: &Findings) -> PacketEvidence {
        PacketEvidence {
            rule_risk: self.rule_risk,
            intel_risk: self.intel_risk,
            classes: self.classes,
            decoy: findings.decoy,
        }
    }
}

/// The packets and victims of one turn, or of several together, on their way to a verdict. Used again for each.
#[derive(Debug)]
pub struct Due {
    /// Complete but for score, sum and level until [`judge`](Self::judge).
    verdicts: Vec<Verdict>,
    /// One row for each packet (none for victims), in the same order.
    rows: Vec<FeatureVector>,
    scores: Vec<AnomalyScore>,
    /// Each score, the share of known rows that score less, and its risk.
    calibrated: Vec<(AnomalyScore, f32, f32)>,
    /// The number of each turn, and how many verdicts there are up to its end.
    turns: ArrayVec<(u64, usize), TURNS_TOGETHER_MAX>,
    /// Of the last packet: what it was looked at with.
    looked_at_with: Marks,
    /// Whether two detections judge these packets: then each row is scored by itself.
    is_mixed: bool,
}

impl Due {
    /// Room for the largest turn.
    #[must_use]
    pub fn new() -> Self {
        Self {
            verdicts: Vec::with_capacity(TURN_VERDICTS_MAX),
            rows: Vec::with_capacity(TURN_VERDICTS_MAX),
            scores: Vec::with_capacity(TURN_VERDICTS_MAX),
            calibrated: Vec::with_capacity(TURN_VERDICTS_MAX),
            turns: ArrayVec::new(),
            looked_at_with: Marks::default(),
            is_mixed: false,
        }
    }

    /// Scores every row, each with the model that was in force for its packet.
    pub fn score(&mut self, in_force: &InForce) {
        self.scores.clear();
        self.scores.resize(self.rows.len(), AnomalyScore::AVERAGE);
        if !self.is_mixed {
            let model = in_force.by_mark(self.looked_at_with).model();
            return model.score_batch(&self.rows, &mut self.scores);
        }
        let packets = self.verdicts.iter().filter(|verdict| !verdict.is_of_victim());
        let rows = self.rows.chunks(1).zip(self.scores.chunks_mut(1));
        for (packet, (row, score)) in packets.zip(rows) {
            in_force.by_mark(packet.digest.marks).model().score_batch(row, score);
        }
    }

    /// Completes the verdicts.
    pub fn judge(&mut self, in_force: &InForce, counters: &mut Counters) {
        self.calibrate(in_force);
        let mut calibrated = self.calibrated.iter();
        for verdict in &mut self.verdicts {
            let detection = in_force.by_mark(verdict.digest.marks);
            // From here on the version says it.
            verdict.digest.marks = verdict.digest.marks.without(Marks::ODD_DETECTION);
            if verdict.is_of_victim() {
                counters.victims += 1;
                complete(verdict, 0.0, 0.0, detection);
            } else {
                let (score, quantile, risk) = calibrated.next().copied().unwrap_or_default();
                verdict.anomaly_score = score.value();
                complete(verdict, risk, quantile, detection);
                counters.judged_as(verdict.level);
            }
        }
    }

    /// Looks up what each score means, by itself: many such look-ups are under way at once then.
    fn calibrate(&mut self, in_force: &InForce) {
        self.calibrated.clear();
        let calibrated = |detection: &Detection, &score: &AnomalyScore| {
            let (quantile, risk) = detection.model().quantile_and_risk(score);
            (score, quantile, risk)
        };
        if !self.is_mixed {
            let detection = in_force.by_mark(self.looked_at_with);
            let scores = self.scores.iter().map(|score| calibrated(detection, score));
            return self.calibrated.extend(scores);
        }
        let packets = self.verdicts.iter().filter(|verdict| !verdict.is_of_victim());
        let scores = packets
            .zip(&self.scores)
            .map(|(packet, score)| calibrated(in_force.by_mark(packet.digest.marks), score));
        self.calibrated.extend(scores);
    }

    /// What was judged, in the order of the frames.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// The same by turn: its number, and its verdicts.
    pub fn turns(&self) -> impl ExactSizeIterator<Item = (u64, &[Verdict])> {
        let mut rest = self.verdicts();
        let mut begin = 0;
        self.turns.iter().map(move |&(number, end)| {
            let (verdicts, later) = rest.split_at_checked(end - begin).unwrap_or((rest, &[]));
            (rest, begin) = (later, end);
            (number, verdicts)
        })
    }

    fn clear(&mut self) {
        self.verdicts.clear();
        self.turns.clear();
        self.rows.clear();
        self.is_mixed = false;
    }

    fn packet(
        &mut self,
        digest: &Digest,
        findings: &Findings,
        known: Known,
        features: FeatureVector,
    ) {
        let looked_at_with = digest.marks.only(Marks::ODD_DETECTION);
        self.is_mixed |= !self.rows.is_empty() && looked_at_with != self.looked_at_with;
        self.looked_at_with = looked_at_with;
        self.rows.push(features);
        self.verdicts.push(begun(digest, findings, known, features));
    }

    fn end_turn(&mut self, number: u64) {
        self.turns.push((number, self.verdicts.len()));
    }

    fn victim(&mut self, digest: &Digest, findings: &Findings, known: Known, sources: u32) {
        let verdict = begun(digest, findings, known, FeatureVector::default());
        self.verdicts.push(Verdict { sources, ..verdict });
    }
}

impl Default for Due {
    fn default() -> Self {
        Self::new()
    }
}

fn begun(digest: &Digest, findings: &Findings, known: Known, features: FeatureVector) -> Verdict {
    Verdict {
        digest: *digest,
        features,
        anomaly_score: 0.0,
        model_risk: 0.0,
        rule_risk: known.rule_risk,
        intel_risk: known.intel_risk,
        total: 0.0,
        detection: 0,
        rules: findings.rules,
        intel_source: findings.intel_source,
        intel_destination: findings.intel_destination,
        sources: 0,
        rule_count: findings.rule_count,
        rules_left_out: findings.rules_left_out,
        level: Level::Safe,
        floor: Floor::None,
        decoy: findings.decoy,
    }
}

fn complete(verdict: &mut Verdict, model_risk: f32, model_quantile: f32, detection: &Detection) {
    let rules = detection.rules_at(verdict.rules()).map(|rule| f32::from(rule.risk));
    let judgement = detection.policy().judge(&Evidence {
        model_risk,
        model_quantile,
        rule_risk: verdict.rule_risk,
        highest_rule_risk: rules.fold(0.0, f32::max),
        intel_risk: verdict.intel_risk,
        intel_hit: verdict.intel_source != 0 || verdict.intel_destination != 0,
        decoy_touched: verdict.decoy != 0,
    });
    verdict.model_risk = model_risk;
    verdict.total = judgement.total;
    verdict.level = judgement.level;
    verdict.floor = judgement.floor;
    verdict.detection = detection.version();
}
