// The first page: what is good, what is bad, and where to look next.
import { VERDICTS, get, health as askHealth, newestEvent, type Accounting, type EventList, type Findings, type Health, type IncidentList, type SensorEvent, type Stats, type Timeline, type Top } from "../api";
import { StackedVerdicts, lineOverTime } from "../chart";
import { fill, h, say } from "../dom";
import { NOTHING, clock, count, moment, percent, short } from "../format";
import { badge, empty, facts, failure, findingRows, isAbort, link, load, panel, sourceLink, table, type Frame, type Page } from "../page";
import { way } from "./event_words";

const NOTABLE = "WARNING,HIGH,CRITICAL";
const STATS_KEPT = 300;
const ALERTS_SHOWN = 12;
const REFRESH = 5_000;
const TOP_REFRESH = 15_000;

export const overviewPage: Page = {
  title: "Overview",
  show(root, frame) {
    const tiles = new Tiles();
    const problems = h("div", { class: "problems" });
    const findings = h("div", { class: "problems" });
    const rates = h("div", { class: "chart" });
    const verdicts = h("div", { class: "chart" });
    const chips = h("div", { class: "chips", role: "group", "aria-label": "Verdicts shown" });
    const alerts = h("div", {});
    const incidents = h("div", {});
    const tops = h("div", { class: "columns" });
    const workers = h("div", {});
    fill(
      root,
      h("h1", { class: "quiet" }, "Overview"),
      tiles.element,
      problems,
      findings,
      h(
        "div",
        { class: "columns" },
        panel("Packets per second, live", {}, rates),
        panel("Verdicts over time", {}, chips, verdicts),
      ),
      panel("Latest alerts", { class: "wide" }, alerts),
      h("div", { class: "columns" }, panel("Open incidents", {}, incidents), panel("Workers and queues", {}, workers)),
      tops,
    );
    showRates(rates, tiles, frame);
    showVerdicts(verdicts, chips, tiles, frame);
    showAlerts(alerts, frame);
    showHealth(problems, workers, tiles, frame);
    frame.every(REFRESH, () => load(incidents, openIncidents(frame, tiles), incidentRows));
    frame.every(TOP_REFRESH, () => load(tops, get<Top>("/api/top", { ...spanOf(frame), limit: 8 }, frame.signal), topPanels));
    void showFindings(findings, frame);
  },
};

// --- tiles ---------------------------------------------------------------------------------------------------------

class Tile {
  readonly value = h("strong", {}, NOTHING);
  readonly element: HTMLElement;

  constructor(name: string, hint: string, to: string) {
    this.element = h("a", { class: "tile", href: `#/${to}`, title: hint }, h("span", {}, name), this.value);
  }

  set(text: string, state: "" | "good" | "bad" | "warn" = ""): void {
    say(this.value, text);
    this.element.dataset["state"] = state;
  }
}

class Tiles {
  readonly packets = new Tile("Packets/s", "Packets judged in the last second", "system");
  readonly bits = new Tile("Bits/s", "Bits of the frames taken since the last look", "system");
  readonly accounted = new Tile("Accounted", "Frames whose way is known to the last counter: anything below 100 % is a bug of the sensor", "system");
  readonly dropped = new Tile("Dropped", "Share of the frames that were to be judged and were not, since the start", "system");
  readonly critical = new Tile("Critical events", "Events of CRITICAL in the time range", "events?verdict=CRITICAL");
  readonly events = new Tile("Events", "Events stored in the time range", "events");
  readonly incidents = new Tile("Open incidents", "Incidents that nobody has acknowledged or closed", "incidents");
  readonly sources = new Tile("Sources", "Sources whose first to last packet touches the time range", "sources");
  readonly element = h(
    "div",
    { class: "tiles" },
    [this.packets, this.bits, this.accounted, this.dropped, this.critical, this.incidents, this.events, this.sources].map((tile) => tile.element),
  );
}

// --- rates ---------------------------------------------------------------------------------------------------------

function showRates(target: HTMLElement, tiles: Tiles, frame: Frame): void {
  const chart = lineOverTime(target, "packets per second", "");
  const times: number[] = [];
  const values: (number | null)[] = [];
  frame.onStats((stats) => {
    const now = Date.now() / 1000;
    // Nothing was measured while it was paused or disconnected.
    if (now - (times.at(-1) ?? now) > 5) {
      times.push(now - 1);
      values.push(null);
    }
    times.push(now);
    values.push(stats.packetsPerSecond);
    while (times.length > STATS_KEPT) {
      times.shift();
      values.shift();
    }
    tiles.packets.set(short(stats.packetsPerSecond));
    if (!document.hidden) chart.data([times, values]);
  });
}

// --- verdicts ------------------------------------------------------------------------------------------------------

function showVerdicts(target: HTMLElement, chips: HTMLElement, tiles: Tiles, frame: Frame): void {
  const chart = new StackedVerdicts(target, ["WARNING", "HIGH", "CRITICAL"]);
  fill(
    chips,
    VERDICTS.map((verdict) => {
      const chip = h(
        "button",
        {
          type: "button",
          class: `chip ${verdict.toLowerCase()}`,
          "aria-pressed": String(chart.isShown(verdict)),
          onclick: () => {
            chart.toggle(verdict);
            chip.setAttribute("aria-pressed", String(chart.isShown(verdict)));
          },
        },
        verdict,
      );
      return chip;
    }),
  );
  const fault = h("div", {});
  target.before(fault);
  frame.every(REFRESH, async () => {
    const span = spanOf(frame);
    try {
      const [stats, timeline] = await Promise.all([
        get<Stats>("/api/stats", span, frame.signal),
        get<Timeline>("/api/timeline", { ...span, buckets: 120 }, frame.signal),
      ]);
      tiles.events.set(short(stats.totalEvents));
      tiles.critical.set(short(stats.criticalAlerts), stats.criticalAlerts > 0 ? "bad" : "good");
      tiles.sources.set(short(stats.uniqueIPs));
      chart.draw(timeline);
      fill(fault, stats.totalEvents === 0 ? empty("Nothing was stored in this time.") : null);
    } catch (error) {
      if (!isAbort(error)) fill(fault, failure(error));
    }
  });
}

/** The time range, up to now. */
function spanOf(frame: Frame): { from: string } {
  return { from: new Date(Date.now() - frame.range() * 1000).toISOString() };
}

// --- alerts --------------------------------------------------------------------------------------------------------

/** The newest notable events: those that are stored, then those that come. */
function showAlerts(target: HTMLElement, frame: Frame): void {
  const known: SensorEvent[] = [];
  let isDirty = false;
  const draw = () => {
    if (!isDirty || frame.isPaused() || frame.isHeld() || document.hidden) return;
    isDirty = false;
    fill(target, known.length === 0 ? empty("No alert yet. That is good news.") : alertRows(known));
  };
  const add = (event: SensorEvent) => {
    if (known.some(({ id }) => id === event.id)) return;
    known.unshift(event);
    known.length = Math.min(known.length, ALERTS_SHOWN);
    isDirty = true;
  };
  const begin = async () => {
    let newest: string | null = null;
    try {
      newest = await newestEvent(frame.signal);
      const { events } = await get<EventList>("/api/events", { verdict: NOTABLE, limit: ALERTS_SHOWN }, frame.signal);
      known.push(...events);
      isDirty = true;
      draw();
    } catch (error) {
      // Where the store is away, new alerts come all the same.
      if (!isAbort(error)) fill(target, failure(error));
    }
    frame.follow({ verdict: NOTABLE }, { verdict: add }, newest);
  };
  void begin();
  const timer = setInterval(draw, 500);
  frame.signal.addEventListener("abort", () => clearInterval(timer));
}

function alertRows(events: SensorEvent[]): HTMLElement {
  return table(
    ["Time", "Verdict", "From and to", "Why", "Packets"],
    events.map((event) => [
      clock(event.time),
      badge(event.verdict),
      way(event),
      link(`event/${event.id}`, event.reason === "" ? "open" : event.reason),
      count(event.count),
    ]),
    { "aria-label": "Latest alerts" },
  );
}

// --- incidents -----------------------------------------------------------------------------------------------------

async function openIncidents(frame: Frame, tiles: Tiles): Promise<IncidentList> {
  const list = await get<IncidentList>("/api/incidents", { state: "open", limit: 100 }, frame.signal);
  const many = list.next === null ? String(list.incidents.length) : "100 and more";
  tiles.incidents.set(many, list.incidents.length === 0 ? "good" : "warn");
  return list;
}

function incidentRows(list: IncidentList): HTMLElement {
  if (list.incidents.length === 0) return empty("No incident is open.");
  return table(
    ["Worst", "What", "About", "Events"],
    list.incidents.slice(0, 8).map((incident) => [
      badge(incident.worst),
      link(`event/${incident.worst_event}`, incident.title),
      sourceLink(incident.subject),
      count(incident.events),
    ]),
    { "aria-label": "Open incidents" },
  );
}

// --- top -----------------------------------------------------------------------------------------------------------

function topPanels(top: Top): HTMLElement[] {
  const hint = top.events === 0 ? "No event above SAFE in this time." : top.is_complete ? `Of ${count(top.events)} events above SAFE.` : `Of the newest ${count(top.events)} events above SAFE, since ${moment(top.since)}.`;
  const rows = (cells: Parameters<typeof table>[1], names: string[]) => (cells.length === 0 ? null : table(names, cells, { "aria-label": names[0]! }));
  return [
    panel(
      "Top sources",
      {},
      rows(
        top.sources.map(({ ip, worst, events, packets }) => [sourceLink(ip), badge(worst), count(events), short(packets)]),
        ["Source", "Worst", "Events", "Packets"],
      ),
      h("p", { class: "hint" }, hint),
    ),
    panel(
      "Top rules",
      {},
      rows(
        top.rules.map(({ rule, message, worst, events }) => [link(`events?rule=${rule}`, message ?? String(rule)), badge(worst), count(events)]),
        ["Rule", "Worst", "Events"],
      ),
      h("p", { class: "hint" }, hint),
    ),
  ];
}

// --- what machine and tap lack -------------------------------------------------------------------------------------

/** What was found at the start and could be better; a machine that lacks nothing is not spoken of. */
async function showFindings(target: HTMLElement, frame: Frame): Promise<void> {
  try {
    const found = await get<Findings>("/api/doctor", {}, frame.signal);
    const bad = found.findings.filter(({ severity }) => severity === "fault" || severity === "warning");
    if (bad.length === 0) return;
    const of = found.interface === null ? "this machine" : `this machine and ${found.interface}`;
    fill(target, h("details", { class: "problem" }, h("summary", {}, `${bad.length} findings about ${of}: frames can be lost, or be other than on the wire`), findingRows(bad)));
  } catch (error) {
    if (!isAbort(error)) fill(target, failure(error));
  }
}

// --- health --------------------------------------------------------------------------------------------------------

function showHealth(problems: HTMLElement, workers: HTMLElement, tiles: Tiles, frame: Frame): void {
  let before: { bytes: number; at: number } | null = null;
  frame.every(2_000, async () => {
    let health: Health;
    let accounting: Accounting;
    try {
      [health, accounting] = await Promise.all([
        askHealth(frame.signal),
        get<Accounting>("/api/accounting", { limit: 1 }, frame.signal),
      ]);
    } catch (error) {
      if (!isAbort(error)) fill(problems, failure(error));
      return;
    }
    fill(problems, health.problems.map((text) => h("p", { class: "problem" }, text)));
    const bytes = accounting.workers.reduce((sum, worker) => sum + worker.taken_bytes, 0);
    const at = performance.now();
    if (before !== null && bytes >= before.bytes) tiles.bits.set(short(((bytes - before.bytes) * 8_000) / (at - before.at)));
    before = { bytes, at };
    showLedger(accounting, health, tiles);
    fill(workers, workerRows(health));
  });
}

/** What came, what of it was not judged though it should have been, and what nobody can account for. */
function showLedger(accounting: Accounting, health: Health, tiles: Tiles): void {
  const queues = health.capture.interface?.queues ?? [];
  const taken = accounting.workers.reduce((sum, worker) => sum + worker.taken, 0);
  const before = queues.reduce((sum, queue) => sum + queue.socket_dropped + queue.socket_ring_full + queue.dropped_no_socket + queue.passed_no_socket, 0);
  const lost = before + accounting.workers.reduce((sum, worker) => sum + worker.handover_full, 0);
  const came = taken + before;
  const isWhole = accounting.unaccounted === 0 && accounting.collector.violations === 0;
  tiles.accounted.set(came === 0 ? NOTHING : isWhole ? "100.000000 %" : almost(1 - accounting.unaccounted / came), isWhole ? "good" : "bad");
  tiles.dropped.set(came === 0 ? NOTHING : percent(lost / came, lost === 0 ? 0 : 4), lost === 0 ? "good" : "bad");
}

/** A share that is not whole is never rounded to it. */
function almost(share: number): string {
  return percent(Math.min(share, 0.99999999), 6) === "100.000000 %" ? "< 100 %" : percent(share, 6);
}

function workerRows(health: Health): HTMLElement {
  const queues = health.capture.interface?.queues ?? [];
  return h(
    "div",
    {},
    facts([
      ["Source of frames", health.capture.source],
      ["It is", health.capture.fault ?? health.capture.status],
      ["Database", health.database.version === null ? health.database.status : `${health.database.version}, ${health.database.status}`],
    ]),
    table(
      ["Worker", "State", "Frames", "Judged", "Lost"],
      health.workers.map((worker) => [String(worker.worker), worker.state, short(worker.taken), short(worker.judged), count(worker.ring_full)]),
      { "aria-label": "Workers" },
    ),
    queues.length === 0
      ? null
      : table(
          ["Queue", "Seen", "To the socket", "Dropped"],
          queues.map((queue) => [
            String(queue.queue),
            short(queue.seen),
            short(queue.redirected),
            count(queue.socket_dropped + queue.socket_ring_full + queue.dropped_no_socket),
          ]),
          { "aria-label": "Queues" },
        ),
  );
}
