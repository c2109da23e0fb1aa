// The sensor itself: the way of a packet with its losses, latency, writer and spool.
import { get, health as askHealth, send, VERDICTS, type Accounting, type Configuration, type Findings, type Health } from "../api";
import { fill, h, type Child } from "../dom";
import { NOTHING, count, moment, percent, short, span } from "../format";
import { empty, facts, failure, findingRows, isAbort, load, panel, table, type Page } from "../page";
import { quantiles, samplesOf, type Sample } from "../openmetrics";

const REFRESH = 2_000;

export const systemPage: Page = {
  title: "System",
  show(root, frame) {
    const fault = h("div", {});
    const flow = h("div", {});
    const state = h("div", {});
    const latency = h("div", {});
    const ledger = h("div", {});
    const findings = h("div", {});
    const configuration = h("div", {});
    fill(root, h("h1", {}, "System"), fault, panel("The way of a packet", { class: "wide" }, flow), state, panel("Latency", { class: "wide" }, latency), panel("What the store says", { class: "wide" }, ledger), panel("Machine and interface, as they were at the start", { class: "wide" }, findings), panel("Configuration in force", { class: "wide" }, configuration));
    void load(findings, get<Findings>("/api/doctor", {}, frame.signal), (found) => [
      findingRows(found.findings),
      h("p", { class: "hint" }, "What phantomnet doctor says without listening. With --interface it listens to the tap too."),
    ]);
    void load(configuration, get<Configuration>("/api/config", {}, frame.signal), inForce);
    frame.every(REFRESH, async () => {
      try {
        const [accounting, health, metrics] = await Promise.all([
          get<Accounting>("/api/accounting", { limit: 5 }, frame.signal),
          askHealth(frame.signal),
          send("/metrics", { headers: { Accept: "application/openmetrics-text" }, signal: frame.signal }).then((response) => response.text()),
        ]);
        fill(fault, health.problems.map((text) => h("p", { class: "problem" }, text)));
        const wasOpen = flow.querySelector("details")?.open ?? false;
        fill(flow, wayOf(accounting, health));
        flow.querySelector("details")!.open = wasOpen;
        fill(state, h("div", { class: "columns" }, sensor(accounting, health), writer(accounting, health), outputs(accounting)));
        fill(latency, latencies(samplesOf(metrics)));
        fill(ledger, ledgers(accounting));
      } catch (error) {
        if (!isAbort(error)) fill(fault, failure(error));
      }
    });
  },
};

// --- the way of a packet -------------------------------------------------------------------------------------------

interface Step {
  name: string;
  came: number;
  /** Where it left the way, by reason; zeros are not drawn. */
  left: [reason: string, packets: number][];
}

/** Each stage with what came in and what left the way there; what leaves is no loss where it was never to be judged. */
function wayOf(accounting: Accounting, health: Health): Child {
  const { workers, collector, writer } = accounting;
  const sum = (of: (worker: Accounting["workers"][number]) => number) => workers.reduce((all, worker) => all + of(worker), 0);
  const queues = health.capture.interface?.queues ?? [];
  const undecodable = new Map<string, number>();
  for (const worker of workers) {
    for (const [reason, frames] of Object.entries(worker.undecodable)) undecodable.set(reason, (undecodable.get(reason) ?? 0) + frames);
  }
  const isWhole = accounting.unaccounted === 0 && collector.violations === 0;
  const ofQueues = (of: (queue: (typeof queues)[number]) => number) => queues.reduce((all, queue) => all + of(queue), 0);
  const steps: Step[] = [
    ...(queues.length === 0
      ? []
      : [
          {
            name: "Interface",
            came: ofQueues((queue) => queue.seen),
            left: [
              ["ignored by configuration", ofQueues((queue) => queue.dropped_ignored)],
              ["no socket", ofQueues((queue) => queue.dropped_no_socket)],
              ["passed to this machine", ofQueues((queue) => queue.passed_no_socket)],
              ["lost: the worker was too slow", ofQueues((queue) => queue.socket_ring_full)],
              ["lost: no place", ofQueues((queue) => queue.socket_dropped)],
            ] as [string, number][],
          },
        ]),
    { name: "Taken", came: sum(({ taken }) => taken), left: [["no IP", sum(({ not_ip }) => not_ip)], ...[...undecodable].map(([reason, frames]): [string, number] => [`undecodable: ${reason}`, frames])] },
    { name: "Decoded", came: sum(({ decoded }) => decoded), left: [["lost: hand-over full", sum(({ handover_full }) => handover_full)]] },
    {
      name: "Scored",
      came: sum(({ scored }) => scored),
      left: VERDICTS.map((verdict): [string, number] => [`verdicts lost: ring full, ${verdict}`, sum(({ ring_full }) => ring_full[verdict])]),
    },
    // Verdicts about victims go along, and are no packets.
    { name: "Collected", came: collector.packets, left: [["left out by sampling", collector.sampled_out], ["still open", collector.open_packets]] },
    { name: "In events", came: writer.received.packets, left: [["found in the spool of earlier runs", writer.found.packets], ["lost: spool full", writer.refused.bound.packets], ["lost: disk", writer.refused.io.packets], ["lost: damaged on disk", writer.refused.corrupt.packets], ["waiting", writer.waiting.packets], ["in the spool", writer.spooled.packets]] },
    { name: "Committed", came: writer.committed.packets, left: [] },
  ];
  return [
    h(
      "ol",
      { class: "way-of-packet" },
      steps.map(({ name, came, left }) =>
        h(
          "li",
          {},
          h("span", { class: "stage" }, name, h("strong", {}, short(came))),
          left
            .filter(([, packets]) => packets > 0)
            .map(([reason, packets]) => h("span", { class: reason.includes("lost") ? "left lost" : "left", title: count(packets) }, `${reason}: ${short(packets)}`)),
        ),
      ),
    ),
    h(
      "p",
      { class: isWhole ? "accounted good" : "accounted bad" },
      isWhole
        ? "Every frame, verdict and row is in exactly one counter: the difference is 0."
        : `${count(accounting.unaccounted)} can't be accounted for, and ${count(collector.violations)} sums did not hold at a marker. This is a bug of the sensor: please report it.`,
    ),
    h(
      "details",
      {},
      h("summary", {}, "The sums"),
      table(
        ["Stage", "Came", "Accounted for", "Difference", "Exact"],
        accounting.sums.map((one) => [one.stage, count(one.came), count(one.accounted), count(one.difference), one.exact ? "yes" : "read while it works"]),
        { "aria-label": "Sums" },
      ),
    ),
  ];
}

// --- state ---------------------------------------------------------------------------------------------------------

function sensor(accounting: Accounting, health: Health): HTMLElement {
  const face = health.capture.interface;
  return panel(
    "Sensor",
    {},
    facts([
      ["Name", accounting.sensor],
      ["Run", accounting.epoch],
      ["Started", moment(accounting.started)],
      ["Source of frames", `${health.capture.source}, ${health.capture.status}`],
      ["Interface", face === null ? null : `${face.name}: ${face.backend}, ${face.mode}, ${face.queues.length} queues`],
      ["Fault", health.capture.fault],
      ["Workers", health.workers.map(({ worker, state }) => `${worker} ${state}`).join(", ")],
      ["Model", health.model.name],
      ["Detection", `${health.model.detection_version}, since ${moment(health.model.since)}`],
      ["Refused reload", health.model.reload_fault],
    ]),
  );
}

function writer({ writer: counts }: Accounting, health: Health): HTMLElement {
  const refused = counts.refused.bound.events + counts.refused.corrupt.events + counts.refused.io.events;
  return panel(
    "Writer and spool",
    {},
    facts([
      ["Database", health.database.version ?? NOTHING],
      ["It is", health.database.status],
      ["The last batch", health.database.writing === null ? "none yet" : health.database.writing ? "was committed" : "could not be committed"],
      ["Last error", health.database.last_error],
      ["Committed", `${count(counts.committed.events)} events in ${count(counts.committed.batches)} batches`],
      ["Waiting", `${count(counts.waiting.events)} events`],
      ["In the spool", `${count(health.database.spooled_events)} events`],
      ["Refused", h("span", { class: refused > 0 ? "outside" : "" }, `${count(refused)} events`)],
      ["Kept aside", `${count(counts.quarantined_rows)} rows`],
      ["Removed by retention", `${count(counts.pruned_rows)} rows`],
    ]),
  );
}

function outputs({ outputs: all }: Accounting): HTMLElement {
  if (all.length === 0) return panel("Outputs", {}, empty("None is configured: EVE JSON, syslog and webhooks tell others what is found."));
  return panel(
    "Outputs",
    {},
    facts(
      all.flatMap(({ output, written, waiting, refused, failed, last_error }): [string, Child][] => [
        [output, `${count(written)} records written, ${count(waiting)} waiting`],
        [`${output}: lost`, refused + failed === 0 ? null : h("span", { class: "outside" }, `${count(refused)} refused, ${count(failed)} failed`)],
        [`${output}: not taken`, last_error],
      ]),
    ),
  );
}

// --- configuration -------------------------------------------------------------------------------------------------

/** What somebody has said first, and all of it for who asks. */
function inForce({ read, settings }: Configuration): Child {
  const rows = h("div", {});
  const filter = h("input", { type: "search", "aria-label": "Find a key", placeholder: "find a key", spellcheck: "false", oninput: () => draw() });
  const withDefaults = h("input", { type: "checkbox", onchange: () => draw() });
  const draw = () => {
    const wanted = filter.value.trim().toLowerCase();
    const shown = settings.filter(({ key, said_by }) => (withDefaults.checked || wanted !== "" || said_by !== "default") && key.includes(wanted));
    fill(
      rows,
      shown.length === 0
        ? empty(wanted === "" ? "Everything is as it is without a configuration file." : "There is no such key.")
        : table(["Key", "Value", "Said by"], shown.map(({ key, value, said_by }) => [h("code", {}, key), h("code", {}, typeof value === "string" && value !== "" ? value : JSON.stringify(value)), said_by]), { "aria-label": "Configuration" }),
    );
  };
  draw();
  return [
    h("form", { class: "filters", "aria-label": "Keys to show", onsubmit: (event) => event.preventDefault() }, filter, h("label", { class: "check" }, withDefaults, "Defaults too")),
    rows,
    h("p", { class: "hint" }, `Read at ${moment(read)}. A reload (SIGHUP) reads model, rules, intel and policy again; the other sections are read at a start.`),
  ];
}

// --- latency -------------------------------------------------------------------------------------------------------

/** Histograms and summaries of durations, at the percentiles people ask for. */
function latencies(samples: Sample[]): Child {
  const rows = quantiles(samples).map(({ name, labels, count: measured, at }) => [
    name.replace(/^phantomnet_/, "").replace(/_seconds$/, "").replaceAll("_", " "),
    labels,
    short(measured),
    span(at.get("0.5")),
    span(at.get("0.99")),
    span(at.get("0.999")),
  ]);
  if (rows.length === 0) return empty("Nothing was measured yet.");
  return table(["What", "Of", "Measured", "Median", "99 %", "99.9 %"], rows, { "aria-label": "Latency" });
}

// --- ledger --------------------------------------------------------------------------------------------------------

function ledgers(accounting: Accounting): Child {
  if (accounting.ledgers === null) return empty(accounting.note ?? "The store does not answer.");
  if (accounting.ledgers.length === 0) return empty("No run is stored yet.");
  return table(
    ["Run", "Started", "Ended", "Events", "Packets", "Refused", "Unaccounted"],
    accounting.ledgers.map((ledger) => [
      ledger.epoch,
      moment(ledger.started),
      ledger.ended !== null ? moment(ledger.ended) : ledger.epoch === accounting.epoch ? "still running" : "not in order",
      count(ledger.committed.events),
      count(ledger.committed.packets),
      percent(ledger.refused_packets / Math.max(1, ledger.committed.packets + ledger.refused_packets), 4),
      ledger.last_marker === null ? NOTHING : count(ledger.last_marker.unaccounted),
    ]),
    { "aria-label": "Runs" },
  );
}
