// The list of events: filtered, shareable by its address, and followed live.
import { Refusal, VERDICTS, get, newestEvent, type EventList, type SensorEvent } from "../api";
import { fill, h, say } from "../dom";
import { count, moment, percent } from "../format";
import { badge, failure, isAbort, link, type Frame, type Page } from "../page";
import { way } from "./event_words";

const PAGE_ROWS = 100;
/** Rows kept while following: the tab must not grow. */
const LIVE_ROWS = 200;
const DRAW_EVERY = 400;

interface Field {
  name: string;
  label: string;
  hint: string;
}

const FIELDS: Field[] = [
  { name: "src_ip", label: "Source", hint: "192.0.2.7 or 192.0.2.0/24" },
  { name: "dst_ip", label: "Destination", hint: "address or prefix" },
  { name: "port", label: "Port", hint: "of either side" },
  { name: "protocol", label: "Protocol", hint: "tcp, udp, icmp or a number" },
  { name: "rule", label: "Rule", hint: "signature id" },
  { name: "min_score", label: "Least score", hint: "0 to 1" },
  { name: "from", label: "From", hint: "2026-09-21T14:00:00Z" },
  { name: "to", label: "To", hint: "2026-09-21T15:00:00Z" },
];

const LEVELS: [value: string, name: string][] = [
  ["", "all verdicts"],
  ["WARNING,HIGH,CRITICAL", "WARNING and above"],
  ["HIGH,CRITICAL", "HIGH and above"],
  ...[...VERDICTS].reverse().map((verdict): [string, string] => [verdict, verdict]),
];

export const eventsPage: Page = {
  title: "Events",
  show(root, frame) {
    new Events(root, frame);
  },
};

class Events {
  private readonly list = h("tbody", {});
  private readonly state = h("p", { class: "hint", role: "status" });
  private readonly fault = h("div", {});
  private readonly more = h("button", { type: "button", hidden: true, onclick: () => void this.load(this.cursor) }, "Older events");
  private readonly form: HTMLFormElement;
  private readonly follow = h("input", { type: "checkbox", name: "live", onchange: () => this.apply() });
  private cursor: string | null = null;
  private waiting: SensorEvent[] = [];
  private arrived = 0;
  /** Which question the list answers: what comes for an earlier one is left alone. */
  private asking = 0;
  private missed = false;

  constructor(
    root: HTMLElement,
    private readonly frame: Frame,
  ) {
    this.form = this.filters();
    const heads = ["Time", "Verdict", "Score", "From and to", "Why", "Packets"];
    fill(
      root,
      h("h1", {}, "Events"),
      this.form,
      this.state,
      this.fault,
      h(
        "div",
        { class: "scrolls", tabindex: "0", role: "group", "aria-label": "Events" },
        h("table", { class: "events" }, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), this.list),
      ),
      this.more,
    );
    this.list.addEventListener("click", (event) => this.openRow(event));
    const timer = setInterval(() => this.draw(), DRAW_EVERY);
    frame.signal.addEventListener("abort", () => clearInterval(timer));
    this.begin();
  }

  // --- filters -----------------------------------------------------------------------------------------------------

  private filters(): HTMLFormElement {
    const asked = this.frame.place.query;
    this.follow.checked = asked.get("live") === "1";
    const verdict = asked.get("verdict") ?? "";
    return h(
      "form",
      {
        class: "filters",
        "aria-label": "Filters",
        onsubmit: (event) => {
          event.preventDefault();
          this.apply();
        },
      },
      h(
        "label",
        {},
        "Verdict",
        h(
          "select",
          { name: "verdict", onchange: () => this.apply() },
          LEVELS.map(([value, name]) => h("option", { value, selected: value === verdict }, name)),
        ),
      ),
      FIELDS.map(({ name, label, hint }) => h("label", {}, label, h("input", { name, placeholder: hint, value: asked.get(name) ?? "", spellcheck: "false" }))),
      h("label", { class: "check" }, this.follow, "Follow live"),
      h("button", { type: "submit" }, "Show"),
      h("button", { type: "reset", onclick: () => setTimeout(() => this.clear()) }, "Clear"),
    );
  }

  private clear(): void {
    for (const input of this.form.querySelectorAll("input")) input.value = "";
    this.form.querySelector("select")!.value = "";
    this.apply();
  }

  /** What is asked for, of the form. */
  private asked(): Record<string, string> {
    const asked: Record<string, string> = {};
    for (const [name, value] of new FormData(this.form)) {
      if (name !== "live" && typeof value === "string" && value.trim() !== "") asked[name] = value.trim();
    }
    return asked;
  }

  private apply(): void {
    this.frame.remember(new URLSearchParams({ ...this.asked(), ...(this.follow.checked ? { live: "1" } : {}) }));
    this.begin();
  }

  // --- stored ------------------------------------------------------------------------------------------------------

  private begin(): void {
    this.frame.unfollow();
    this.waiting = [];
    this.arrived = 0;
    this.missed = false;
    this.asking += 1;
    void this.show(this.asking);
  }

  /** The list, then what came after the newest event that there was before it. */
  private async show(asking: number): Promise<void> {
    const newest = this.follow.checked ? await newestEvent(this.frame.signal).catch(() => null) : null;
    const isUnderstood = await this.load(null);
    if (isUnderstood && this.follow.checked && asking === this.asking && !this.frame.signal.aborted) this.watch(newest);
  }

  /** Shows a page of the list. Returns whether it is still asked for, and is no question that the sensor refuses. */
  private async load(cursor: string | null): Promise<boolean> {
    const { asking } = this;
    fill(this.fault);
    say(this.state, "Loading …");
    try {
      const page = await get<EventList>("/api/events", { ...this.asked(), limit: PAGE_ROWS, cursor }, this.frame.signal);
      if (asking !== this.asking) return false;
      const rows = page.events.map(rowOf);
      if (cursor === null) this.list.replaceChildren(...rows);
      else this.list.append(...rows);
      this.cursor = page.next;
      this.more.hidden = page.next === null;
      this.describe();
      return true;
    } catch (error) {
      if (isAbort(error) || asking !== this.asking) return false;
      say(this.state, "");
      if (cursor === null) this.list.replaceChildren();
      fill(this.fault, failure(error));
      // Where the store is away, new events come all the same.
      return error instanceof Refusal && (error.status === 503 || error.status === 0);
    }
  }

  private describe(): void {
    const rows = this.list.childElementCount;
    const text = rows === 0 ? "No event matches." : `${count(rows)} events shown, newest first.`;
    const gap = this.missed ? " More came than this page could take: it has not shown all of them." : "";
    say(this.state, this.arrived === 0 ? text : `${text} ${count(this.arrived)} came while following.${gap}`);
  }

  // --- live --------------------------------------------------------------------------------------------------------

  private watch(after: string | null): void {
    const asked = this.asked();
    const fields = ["verdict", "min_score"].filter((name) => asked[name] !== undefined);
    const admits = admission(asked);
    const filter = Object.fromEntries(fields.map((name) => [name, asked[name]!]));
    const verdict = (event: SensorEvent) => {
      if (!admits(event)) return;
      this.arrived += 1;
      this.waiting.push(event);
      if (this.waiting.length > LIVE_ROWS) this.waiting.shift();
    };
    this.frame.follow(filter, { verdict, gap: () => (this.missed = true) }, after);
  }

  private draw(): void {
    if (this.waiting.length === 0 || this.frame.isPaused() || this.frame.isHeld() || document.hidden) return;
    const shown = new Set([...this.list.children].map((row) => (row as HTMLElement).dataset["id"]));
    const rows = this.waiting.splice(0).reverse().filter(({ id }) => !shown.has(id)).map(rowOf);
    this.list.prepend(...rows);
    while (this.list.childElementCount > LIVE_ROWS) this.list.lastElementChild!.remove();
    // The list was cut: what lies behind it is asked for anew.
    if (this.list.childElementCount === LIVE_ROWS) this.more.hidden = true;
    this.describe();
  }

  private openRow(event: Event): void {
    const target = event.target as HTMLElement;
    if (target.closest("a") !== null || getSelection()?.isCollapsed === false) return;
    const id = target.closest("tr")?.dataset["id"];
    if (id !== undefined) location.hash = `#/event/${id}`;
  }
}

/** Those filters that the stream itself does not know; prefixes are left to the list. */
function admission(asked: Record<string, string>): (event: SensorEvent) => boolean {
  const is = (name: string, values: (string | number | null)[]) =>
    asked[name] === undefined || values.some((value) => String(value).toLowerCase() === asked[name]!.toLowerCase());
  return (event) =>
    is("src_ip", [event.src_ip]) &&
    is("dst_ip", [event.dst_ip]) &&
    is("port", [event.src_port, event.dst_port]) &&
    is("protocol", [event.protocol, event.protocol_name]) &&
    is("rule", event.rules) &&
    (asked["to"] === undefined || Date.parse(event.time) < Date.parse(asked["to"]));
}

function rowOf(event: SensorEvent): HTMLElement {
  const row = h(
    "tr",
    {},
    h("td", {}, moment(event.time)),
    h("td", {}, badge(event.verdict)),
    h("td", { class: "number" }, percent(event.threat_score, 0)),
    h("td", {}, way(event)),
    h("td", {}, link(`event/${event.id}`, event.reason === "" ? "nothing speaks against it" : event.reason)),
    h("td", { class: "number" }, count(event.is_of_victim ? event.alerts : event.count)),
  );
  row.dataset["id"] = event.id;
  return row;
}
