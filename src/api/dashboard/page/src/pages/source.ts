// One source: who it is, what it did when, and to whom.
import { VERDICTS, get, type EventList, type SensorEvent, type SourcePage, type Timeline, type Verdict } from "../api";
import { StackedVerdicts } from "../chart";
import { fill, h, type Child } from "../dom";
import { NOTHING, count, moment, short } from "../format";
import { badge, empty, facts, link, load, panel, query, table, type Frame, type Page } from "../page";

/** Newest events that timeline and destinations are made of. */
const EVENTS = 1000;
const BUCKETS = 60;

export const sourcePage: Page = {
  title: "Source",
  show(root, frame) {
    const address = frame.place.parts[1] ?? "";
    const known = h("div", {});
    const events = h("div", {});
    fill(root, h("p", { class: "crumbs" }, link("sources", "Sources"), ` / ${address}`), h("h1", {}, address), known, events);
    void load(known, get<SourcePage>(`/api/sources/${encodeURIComponent(address)}`, {}, frame.signal), about);
    void load(events, get<EventList>("/api/events", { src_ip: address, limit: EVENTS }, frame.signal), (list) => whatItDid(list, address, frame));
  },
};

function about(source: SourcePage): Child {
  return [
    h(
      "div",
      { class: "columns" },
      source.profiles.map((profile) =>
        panel(
          profile.tenant === null ? "Profile" : `Profile in VLAN ${profile.tenant}`,
          {},
          facts([
            ["First seen", moment(profile.first_seen)],
            ["Last seen", moment(profile.last_seen)],
            ["Packets", count(profile.packets)],
            ["Bytes", `${short(profile.bytes)}B`],
            ["Sessions", count(profile.sessions)],
            ...VERDICTS.map((verdict): [string, Child] => [verdict, count(profile.verdicts[verdict])]),
          ]),
        ),
      ),
      panel("Open incidents", {}, source.incidents.length === 0 ? empty("None.") : incidents(source)),
    ),
    panel("Sessions", { class: "wide" }, source.sessions.length === 0 ? empty("None is stored.") : sessions(source)),
  ];
}

function incidents(source: SourcePage): HTMLElement {
  return table(
    ["Worst", "What", "State", "Events"],
    source.incidents.map((incident) => [badge(incident.worst), link(`event/${incident.worst_event}`, incident.title), incident.state, count(incident.events)]),
    { "aria-label": "Incidents" },
  );
}

function sessions(source: SourcePage): HTMLElement {
  return table(
    ["From", "To", "State", "Worst", "Packets", "Bytes", "Rules"],
    source.sessions.map((session) => [
      moment(session.time),
      moment(session.last_time),
      session.state,
      badge(session.worst),
      short(session.packets),
      `${short(session.bytes)}B`,
      session.rules.length === 0 ? NOTHING : session.rules.join(", "),
    ]),
    { "aria-label": "Sessions" },
  );
}

// --- its events ----------------------------------------------------------------------------------------------------

function whatItDid({ events, next }: EventList, address: string, frame: Frame): Child {
  if (events.length === 0) return empty("No event of it is stored.");
  const chart = h("div", { class: "chart" });
  const of = next === null ? `all ${count(events.length)} stored events` : `the newest ${count(events.length)} events`;
  requestAnimationFrame(() => {
    if (frame.signal.aborted) return;
    new StackedVerdicts(chart, VERDICTS).draw(timelineOf(events));
  });
  return [
    panel("Timeline", { class: "wide" }, chart, h("p", { class: "hint" }, `Packets by verdict, of ${of}. `, link(`events?${query({ src_ip: address })}`, "Show the events"))),
    panel("Destinations", { class: "wide" }, destinations(events), h("p", { class: "hint" }, `Of ${of}.`)),
  ];
}

function timelineOf(events: SensorEvent[]): Timeline {
  const times = events.map((event) => Date.parse(event.time));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const width = Math.max(1000, Math.ceil((last - first + 1) / BUCKETS));
  const buckets: Timeline["buckets"] = [];
  for (let at = first; at <= last; at += width) {
    buckets.push({ time: new Date(at).toISOString(), verdicts: { SAFE: 0, WARNING: 0, HIGH: 0, CRITICAL: 0 }, events: 0 });
  }
  events.forEach((event, nth) => {
    const bucket = buckets[Math.floor((times[nth]! - first) / width)]!;
    bucket.verdicts[event.verdict] += event.weight;
    bucket.events += 1;
  });
  return { from: buckets[0]!.time, to: events[0]!.last_time, bucket_seconds: width / 1000, buckets };
}

function destinations(events: SensorEvent[]): HTMLElement {
  const known = new Map<string, { ports: Set<string>; packets: number; bytes: number; worst: Verdict }>();
  for (const event of events) {
    const name = event.dst_ip ?? "many";
    const one = known.get(name) ?? { ports: new Set<string>(), packets: 0, bytes: 0, worst: "SAFE" as Verdict };
    if (event.dst_port !== null) one.ports.add(`${event.dst_port}/${event.protocol_name.toLowerCase()}`);
    one.packets += event.weight;
    one.bytes += event.bytes;
    if (VERDICTS.indexOf(event.verdict) > VERDICTS.indexOf(one.worst)) one.worst = event.verdict;
    known.set(name, one);
  }
  const rank = ([, one]: [string, { packets: number; worst: Verdict }]) => VERDICTS.indexOf(one.worst) * 1e15 + one.packets;
  const sorted = [...known].sort((a, b) => rank(b) - rank(a));
  return table(
    ["Destination", "Worst", "Packets", "Bytes", "Ports"],
    sorted.slice(0, 50).map(([name, one]) => {
      const ports = [...one.ports];
      return [name, badge(one.worst), short(one.packets), `${short(one.bytes)}B`, ports.length > 12 ? `${ports.slice(0, 12).join(", ")} and ${ports.length - 12} more` : ports.join(", ")];
    }),
    { "aria-label": "Destinations" },
  );
}
