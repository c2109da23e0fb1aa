// What judges: model, calibration, and whether the traffic of now still looks like that of its training.
import { change, get, type EventList, type FeatureBatch, type FeatureSchema, type FeatureValues, type Model } from "../api";
import { Chart, colour, curve, lines } from "../chart";
import { fill, h, type Child } from "../dom";
import { NOTHING, count, moment, percent, plain } from "../format";
import { empty, facts, load, panel, table, type Frame, type Page } from "../page";

/** Newest events that say what the traffic is like now. */
const SAMPLE = 1000;

export const modelPage: Page = {
  title: "Model",
  show(root, frame) {
    const model = h("div", {});
    const now = h("div", {});
    fill(root, h("h1", {}, "Model"), model, now);
    const asked = Promise.all([get<Model>("/api/ml/model", {}, frame.signal), get<FeatureSchema>("/api/ml/schema", {}, frame.signal)]);
    void load(model, asked, ([loaded, schema]) => about(loaded, schema, frame));
    void load(now, asked.then(async ([loaded, schema]) => drift(loaded, schema, frame, await sample(frame.signal))), (shown) => shown);
  },
};

function about(model: Model, schema: FeatureSchema, frame: Frame): Child {
  const calibration = h("div", { class: "chart" });
  requestAnimationFrame(() => {
    if (frame.signal.aborted) return;
    const points = model.calibration.quantiles.map(({ anomaly_score, quantile }): [number, number] => [anomaly_score, quantile]);
    curve(calibration, { x: "anomaly score", y: "share of calibration rows below" }, points);
  });
  const { forest, origin, training, policy } = model;
  return [
    h(
      "div",
      { class: "columns" },
      panel(
        "What is loaded",
        {},
        facts([
          ["Model", model.name],
          ["SHA-256", h("code", {}, model.sha256)],
          ["Made", `${moment(model.created_at)}, ${origin.kind}${origin.program === null ? "" : ` from ${origin.program}`}${origin.seed === null ? "" : `, seed ${origin.seed}`}`],
          ["Forest", `${forest.trees} trees of ${forest.subsample} rows, ${count(forest.nodes)} nodes, depth ${forest.depth}`],
          ["Trained on", h("details", {}, h("summary", {}, `${count(training.rows)} rows of ${count(training.sources.length)} files`), training.sources.map(({ name }) => name).join(", "))],
          ["Feature schema", `${model.schema_version}, ${model.schema_fingerprint.slice(0, 16)}…`],
          ["Schema of this program", `${schema.version}, ${schema.fingerprint === model.schema_fingerprint ? "the same" : "ANOTHER ONE"}`],
          ["Detection", model.detection_version],
          ["Rules", count(model.rules)],
          ["Intelligence", `${count(model.intel)} entries`],
          ["Decoys", count(model.decoys)],
        ]),
      ),
      panel(
        "From evidence to verdict",
        {},
        facts([
          ["Weights", `model ${plain(policy.weights.model)}, rules ${plain(policy.weights.rules)}, intelligence ${plain(policy.weights.intel)}`],
          ["Thresholds", `WARNING ${plain(policy.thresholds.warning)}, HIGH ${plain(policy.thresholds.high)}, CRITICAL ${plain(policy.thresholds.critical)}`],
          ["Floors", policy.floors.length === 0 ? "none" : policy.floors.join(", ")],
          ["A rare score", `rarer than ${percent(policy.model_quantile, 2)} of calibration rows`],
          ["Calibration", `${count(model.calibration.rows)} rows, contamination ${plain(model.calibration.contamination)}, offset ${plain(model.calibration.offset)}`],
        ]),
      ),
    ),
    panel("Calibration: how rare a score is", { class: "wide" }, calibration),
  ];
}

// --- now against training ------------------------------------------------------------------------------------------

interface Row {
  score: number;
  weight: number;
  features: FeatureValues;
}

/** The newest events with what they represent: with sampling, a SAFE one stands for many packets. */
async function sample(signal: AbortSignal): Promise<Row[]> {
  const { events } = await get<EventList>("/api/events", { limit: SAMPLE }, signal);
  const scored = events.filter(({ anomaly_score, is_of_victim }) => anomaly_score !== null && !is_of_victim);
  if (scored.length === 0) return [];
  const batch = await change<FeatureBatch>("POST", "/api/ml/features/batch", { ids: scored.map(({ id }) => id) });
  return batch.events.flatMap(({ features }, nth) => {
    const event = scored[nth]!;
    return features === null ? [] : [{ score: event.anomaly_score!, weight: event.weight, features }];
  });
}

function drift(model: Model, schema: FeatureSchema, frame: Frame, rows: Row[]): Child {
  if (rows.length === 0) return panel("Now against training", { class: "wide" }, empty("No event is stored yet."));
  const chart = h("div", { class: "chart" });
  requestAnimationFrame(() => {
    if (!frame.signal.aborted) distribution(chart, model, rows);
  });
  const packets = rows.reduce((sum, { weight }) => sum + weight, 0);
  const ranges = new Map(model.training.ranges.map((range) => [range.feature, range]));
  const lines = schema.features.map(({ name, unit }) => {
    const key = name as keyof FeatureValues;
    const range = ranges.get(name);
    const values = rows.map(({ features }) => features[key]).sort((a, b) => a - b);
    const at = (share: number) => plain(values[Math.floor(share * (values.length - 1))]);
    const outside = range === undefined ? null : rows.reduce((sum, { features, weight }) => sum + (features[key] < range.minimum || features[key] > range.maximum ? weight : 0), 0) / packets;
    return [
      h("span", { title: unit }, name),
      range === undefined ? NOTHING : `${plain(range.minimum, 3)} … ${plain(range.maximum, 3)}`,
      at(0.05),
      at(0.5),
      at(0.95),
      h("span", { class: outside !== null && outside > 0.05 ? "outside" : "" }, percent(outside, 2)),
    ];
  });
  const hint = `Of the newest ${count(rows.length)} stored events, which represent ${count(packets)} packets; each event counts with the features of its worst packet.`;
  return [
    panel("Scores now, and those of calibration", { class: "wide" }, chart, h("p", { class: "hint" }, hint)),
    panel("Features now against the range of training", { class: "wide" }, table(["Feature", "In training", "5 %", "Median", "95 %", "Packets outside"], lines, { "aria-label": "Feature drift" }), h("p", { class: "hint" }, hint)),
  ];
}

/** The share of calibration rows and of packets now that score less: two curves that lie upon one another while nothing has changed. */
function distribution(element: HTMLElement, model: Model, rows: Row[]): Chart {
  const sorted = [...rows].sort((a, b) => a.score - b.score);
  const all = sorted.reduce((sum, { weight }) => sum + weight, 0);
  const training = model.calibration.quantiles;
  const xs = [...new Set([...sorted.map(({ score }) => score), ...training.map(({ anomaly_score }) => anomaly_score)])].sort((a, b) => a - b);
  let passed = 0;
  let nth = 0;
  const now = xs.map((x) => {
    for (; nth < sorted.length && sorted[nth]!.score < x; nth += 1) passed += sorted[nth]!.weight;
    return passed / all;
  });
  const known = new Map(training.map(({ anomaly_score, quantile }) => [anomaly_score, quantile]));
  return new Chart(
    element,
    240,
    {
      scales: { x: { time: false } },
      axes: [
        { ...lines(), label: "anomaly score", labelSize: 22 },
        { ...lines(), label: "share below", labelSize: 22, size: 62 },
      ],
      series: [
        { label: "score" },
        { label: "calibration", stroke: colour("muted"), width: 2, spanGaps: true, points: { show: false } },
        { label: "now", stroke: colour("accent"), width: 2, points: { show: false } },
      ],
    },
    [xs, xs.map((x) => known.get(x) ?? null), now],
  );
}
