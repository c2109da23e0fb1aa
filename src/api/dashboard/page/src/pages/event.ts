// One event, and every reason for its verdict.
import { change, get, token, type EventList, type Explanation, type FeatureBatch, type FeatureSchema, type FeatureValues, type WholeEvent } from "../api";
import { fill, h, type Child } from "../dom";
import { NOTHING, clock, count, moment, percent, plain, short } from "../format";
import { badge, empty, facts, failure, isAbort, link, load, panel, table, type Frame, type Page } from "../page";
import { FLOORS, way } from "./event_words";

/** Ordinary events that say what is normal. */
const NORMAL_EVENTS = 200;

export const eventPage: Page = {
  title: "Event",
  show(root, frame) {
    const id = frame.place.parts[1] ?? "";
    void load(root, ask(id, frame.signal), ([event, explanation, schema]) => [
      header(event),
      h("div", { class: "columns" }, evidence(explanation), about(event)),
      features(event, explanation, schema, frame),
      h("div", { class: "columns" }, safeIf(explanation), rules(explanation)),
      feedback(event),
      related(event, frame),
    ]);
  },
};

async function ask(id: string, signal: AbortSignal): Promise<[WholeEvent, Explanation, FeatureSchema]> {
  const path = `/api/events/${encodeURIComponent(id)}`;
  return Promise.all([
    get<WholeEvent>(path, {}, signal),
    get<Explanation>(`${path}/explanation`, {}, signal),
    get<FeatureSchema>("/api/ml/schema", {}, signal),
  ]);
}

function header(event: WholeEvent): Child {
  return [
    h("p", { class: "crumbs" }, link("events", "Events"), ` / ${event.id}`),
    h("h1", {}, badge(event.verdict), " ", event.reason === "" ? "Nothing speaks against it" : event.reason),
    h("p", { class: "lead" }, way(event), `, ${moment(event.time)}`),
  ];
}

// --- evidence ------------------------------------------------------------------------------------------------------

/** The three parts as a sum, and what raised the verdict above it. */
function evidence(explanation: Explanation): HTMLElement {
  const rows = explanation.parts.map((part) => [
    part.part,
    bar(part.risk / 100),
    plain(part.risk, 3),
    part.weight === null ? NOTHING : `× ${plain(part.weight, 3)}`,
    part.points === null ? NOTHING : plain(part.points, 3),
  ]);
  const { thresholds } = explanation;
  return panel(
    "Why",
    { class: "evidence" },
    table(["Evidence", "", "Risk", "Weight", "Points"], rows, { "aria-label": "Evidence" }),
    h("p", {}, "Sum: ", h("strong", {}, plain(explanation.total, 4)), " of 100", thresholds === null ? "." : `. WARNING begins at ${plain(thresholds.warning)}, HIGH at ${plain(thresholds.high)}, CRITICAL at ${plain(thresholds.critical)}.`),
    explanation.floor === null
      ? h("p", {}, "The sum alone gives the verdict.")
      : h("p", { class: "floor" }, "Raised to ", badge(explanation.floor_level ?? explanation.verdict), ` by a floor: ${FLOORS[explanation.floor] ?? explanation.floor}.`),
    explanation.intel === null ? null : h("p", {}, "Intelligence knows ", h("strong", {}, explanation.intel.matched === "src_ip" ? "the source" : "the destination"), " as ", h("strong", {}, explanation.intel.label), "."),
    explanation.decoy === null ? null : h("p", {}, "It touched the decoy ", h("strong", {}, explanation.decoy), "."),
    explanation.note === null ? null : h("p", { class: "hint" }, explanation.note),
  );
}

function bar(share: number): HTMLElement {
  const width = Math.round(Math.max(0, Math.min(1, share)) * 100);
  return h("progress", { value: width, max: 100, "aria-label": `${width} of 100` });
}

function about(event: WholeEvent): HTMLElement {
  const confidence = event.confidence;
  return panel(
    "What it stands for",
    {},
    facts([
      ["Packets", count(event.count)],
      ["Alerts about a victim", event.is_of_victim ? count(event.alerts) : null],
      ["Represents, with those left out by sampling", `${count(event.weight)} packets`],
      ["Bytes", `${short(event.bytes)}B`],
      ["First to last", `${moment(event.time)} to ${clock(event.last_time)}`],
      ["Merged", event.merged === "nothing" ? null : `over ${event.merged}`],
      ["VLAN", event.vlan],
      ["ICMP", event.icmp_type === null ? null : `type ${event.icmp_type}, code ${event.icmp_code ?? NOTHING}`],
      ["Anomaly score", event.anomaly_score === null ? null : plain(event.anomaly_score, 4)],
      ["Confidence", confidence === null ? null : `rarer than ${percent(confidence.quantile, 3)} of ${count(confidence.calibration_rows)} calibration rows`],
      ["In the range of training", confidence?.in_training_range === undefined || confidence.in_training_range === null ? null : confidence.in_training_range ? "yes" : "no: the score says little"],
      ["Community ID", event.community_id],
      ["Frame", count(event.packet)],
      ["Detection", event.detection_version],
    ]),
    h("div", { class: "actions" }, copyButton("Copy as JSON", JSON.stringify(event, null, 2)), copyButton("Copy the line to explain it", explainLine(event))),
  );
}

/** The same reasons on a terminal, of any machine that reaches the sensor by the address that this page has. */
function explainLine(event: WholeEvent): string {
  const shown = token() === null ? "" : " --token-file FILE";
  return `phantomnet explain --event ${event.id} --url ${location.origin}${shown}`;
}

function copyButton(name: string, text: string): HTMLElement {
  const button = h(
    "button",
    {
      type: "button",
      onclick: () => {
        void copy(text).then((isDone) => {
          button.textContent = isDone ? "Copied" : "The browser does not allow it";
          setTimeout(() => (button.textContent = name), 1_500);
        });
      },
    },
    name,
  );
  return button;
}

async function copy(text: string): Promise<boolean> {
  try {
    // There is none on a page that came by plain HTTP from another machine.
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
    const area = h("textarea", {});
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  } catch {
    return false;
  }
}

// --- features ------------------------------------------------------------------------------------------------------

function features(event: WholeEvent, explanation: Explanation, schema: FeatureSchema, frame: Frame): HTMLElement {
  if (event.features === null) {
    return panel("Features", {}, empty("This is about a destination under attack; features are measured of sources."));
  }
  const body = h("div", {});
  const draw = (normal: Normal | null) => fill(body, featureTable(event.features!, explanation, schema, normal));
  draw(null);
  void normalOf(event, frame.signal)
    .then(draw)
    .catch((error: unknown) => isAbort(error) || body.append(failure(error)));
  return panel(
    "The 15 features, and each one's share of the score",
    { class: "wide" },
    body,
    h("p", { class: "hint" }, "A positive share makes the score more anomalous; all shares and the base add up to the score. Medians are those of the newest stored SAFE events."),
  );
}

/** Medians of the newest ordinary events, of this source and of all, by feature. */
interface Normal {
  ofSource: { events: number; median: FeatureValues | null };
  ofAll: { events: number; median: FeatureValues | null };
}

async function normalOf(event: WholeEvent, signal: AbortSignal): Promise<Normal> {
  const [ofSource, ofAll] = await Promise.all([event.src_ip === null ? none() : medians({ src_ip: event.src_ip }, signal), medians({}, signal)]);
  return { ofSource, ofAll };
}

async function none(): Promise<{ events: number; median: null }> {
  return { events: 0, median: null };
}

async function medians(filter: Record<string, string>, signal: AbortSignal): Promise<{ events: number; median: FeatureValues | null }> {
  const { events } = await get<EventList>("/api/events", { ...filter, verdict: "SAFE", limit: NORMAL_EVENTS }, signal);
  if (events.length === 0) return none();
  const batch = await change<FeatureBatch>("POST", "/api/ml/features/batch", { ids: events.map(({ id }) => id) });
  const rows = batch.events.flatMap(({ features: row }) => (row === null ? [] : [row]));
  const [first] = rows;
  if (first === undefined) return none();
  const median = { ...first };
  for (const name of Object.keys(first) as (keyof FeatureValues)[]) {
    const sorted = rows.map((row) => row[name]).sort((a, b) => a - b);
    median[name] = sorted[Math.floor(sorted.length / 2)]!;
  }
  return { events: rows.length, median };
}

function featureTable(values: FeatureValues, explanation: Explanation, schema: FeatureSchema, normal: Normal | null): HTMLElement {
  const shares = new Map(explanation.score?.shares.map((share) => [share.feature, share]));
  const most = Math.max(1e-9, ...[...shares.values()].map(({ share }) => Math.abs(share)));
  const ofNormal = (name: keyof FeatureValues, of: Normal["ofSource"] | undefined) => (of?.median ? plain(of.median[name]) : NOTHING);
  const rows = schema.features.map(({ name, meaning, unit }) => {
    const key = name as keyof FeatureValues;
    const share = shares.get(name);
    const isOutside = share !== undefined && share.trained_from !== null && share.trained_to !== null && (share.value < share.trained_from || share.value > share.trained_to);
    return [
      h("span", { title: `${meaning} (${unit})` }, name),
      h("span", { class: isOutside ? "outside" : "" }, plain(values[key])),
      ofNormal(key, normal?.ofSource),
      ofNormal(key, normal?.ofAll),
      share === undefined ? NOTHING : `${plain(share.trained_from, 3)} … ${plain(share.trained_to, 3)}`,
      share === undefined ? NOTHING : shareBar(share.share, most),
    ];
  });
  const of = (name: string, part: Normal["ofSource"] | undefined) => (part === undefined || part.events === 0 ? name : `${name} (${part.events})`);
  return table(["Feature", "Here", of("This source", normal?.ofSource), of("All", normal?.ofAll), "In training", "Share of the score"], rows, { "aria-label": "Features" });
}

/** A bar to the right that speaks for an anomaly, or to the left that speaks against one. */
function shareBar(share: number, most: number): HTMLElement {
  const width = Math.round((Math.abs(share) / most) * 100);
  return h(
    "span",
    { class: `share ${share >= 0 ? "for" : "against"}` },
    h("progress", { value: width, max: 100, "aria-hidden": "true" }),
    `${share >= 0 ? "+" : "−"}${plain(Math.abs(share), 3)}`,
  );
}

// --- what else -----------------------------------------------------------------------------------------------------

function safeIf(explanation: Explanation): HTMLElement {
  const condition = explanation.safe_if;
  const sentences: Child[] = [];
  for (const set of condition?.without ?? []) sentences.push(h("li", {}, `without ${set.join(" and ")}`));
  if (condition?.feature) {
    const { feature, from, to, anomaly_score } = condition.feature;
    sentences.push(h("li", {}, `for the model: with ${feature} at ${plain(to)} instead of ${plain(from)} the score would be ${plain(anomaly_score, 4)}, which is usual`));
  }
  const text = explanation.verdict === "SAFE" ? "It is SAFE." : condition === null ? "Not known: the detection that judged is no longer loaded." : "No single change would do.";
  return panel("SAFE if …", {}, sentences.length === 0 ? empty(text) : h("ul", {}, sentences));
}

function rules(explanation: Explanation): HTMLElement {
  if (explanation.rules.length === 0) return panel("Rules", {}, empty("No rule fired."));
  return panel(
    "Rules",
    {},
    table(
      ["Rule", "Says", "Risk"],
      explanation.rules.map((rule) => [link(`events?rule=${rule.rule}`, String(rule.rule)), rule.message ?? NOTHING, plain(rule.risk)]),
      { "aria-label": "Rules" },
    ),
  );
}

function feedback(event: WholeEvent): HTMLElement {
  const state = h("p", { role: "status" });
  const note = h("input", { "aria-label": "Note", placeholder: "note", maxlength: 2000, value: event.label?.note ?? "" });
  const draw = (label: WholeEvent["label"]) => (state.textContent = label === null ? "Nobody has said anything of it." : `Said to be ${label.label}, ${moment(label.at)}.`);
  draw(event.label);
  const say = (label: string) => async () => {
    try {
      const body = note.value === "" ? { label } : { label, note: note.value };
      draw((await change<WholeEvent>("POST", `/api/events/${encodeURIComponent(event.id)}/label`, body)).label);
    } catch (error) {
      fill(state, failure(error));
    }
  };
  const button = (name: string, label: string) => h("button", { type: "button", onclick: () => void say(label)() }, name);
  return panel("What do you say?", {}, h("div", { class: "actions" }, note, button("An attack", "malicious"), button("A false alarm", "benign"), button("Unsure", "unsure")), state);
}

function related(event: WholeEvent, frame: Frame): HTMLElement {
  const body = h("div", {});
  const asked = event.src_ip === null ? { dst_ip: event.dst_ip } : { src_ip: event.src_ip };
  void load(body, get<EventList>("/api/events", { ...asked, verdict: "WARNING,HIGH,CRITICAL", limit: 15 }, frame.signal), ({ events }) => {
    const others = events.filter(({ id }) => id !== event.id);
    if (others.length === 0) return empty("Nothing else is known against it.");
    return table(
      ["Time", "Verdict", "From and to", "Why"],
      others.map((other) => [moment(other.time), badge(other.verdict), way(other), link(`event/${other.id}`, other.reason)]),
      { "aria-label": "Related events" },
    );
  });
  return panel("Related events", { class: "wide" }, body);
}
