// Incidents: what goes on, and what people make of it.
import { change, get, type Incident, type IncidentList } from "../api";
import { fill, h } from "../dom";
import { count, moment } from "../format";
import { badge, empty, failure, hasKeys, isAbort, link, sourceLink, type Frame, type Page } from "../page";

const ROWS = 100;
const REFRESH = 10_000;
/** An export has at most so many. */
const EXPORT_ROWS = 10_000;

const STATES: [value: string, name: string][] = [
  ["open", "open"],
  ["acknowledged", "acknowledged"],
  ["closed", "closed"],
  ["", "all"],
];

export const incidentsPage: Page = {
  title: "Incidents",
  show(root, frame) {
    new Incidents(root, frame);
  },
};

class Incidents {
  private readonly list = h("tbody", {});
  private readonly fault = h("div", { role: "status" });
  private readonly state: HTMLSelectElement;
  private incidents: Incident[] = [];

  constructor(
    root: HTMLElement,
    private readonly frame: Frame,
  ) {
    const asked = frame.place.query.get("state") ?? "open";
    this.state = h(
      "select",
      { onchange: () => this.apply() },
      STATES.map(([value, name]) => h("option", { value, selected: value === asked }, name)),
    );
    const heads = ["Worst", "What", "About", "Events", "Packets", "First", "Last", "State", "Triage"];
    fill(
      root,
      h("h1", {}, "Incidents"),
      h(
        "div",
        { class: "filters" },
        h("label", {}, "State", this.state),
        h("button", { type: "button", onclick: () => void this.save("csv") }, "Export CSV"),
        h("button", { type: "button", onclick: () => void this.save("json") }, "Export JSON"),
      ),
      h("p", { class: "hint" }, "Keys: j and k to move, Enter to open the worst event, a to acknowledge, c to close, o to open again, f for a false alarm, m for an attack."),
      this.fault,
      h(
        "div",
        { class: "scrolls", tabindex: "0", role: "group", "aria-label": "Incidents" },
        h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), this.list),
      ),
    );
    const key = (event: KeyboardEvent) => this.press(event);
    addEventListener("keydown", key, { signal: frame.signal });
    frame.every(REFRESH, () => this.load());
  }

  private apply(): void {
    this.frame.remember(new URLSearchParams({ state: this.state.value }));
    void this.load();
  }

  private async load(): Promise<void> {
    try {
      const page = await get<IncidentList>("/api/incidents", { state: this.state.value, limit: ROWS }, this.frame.signal);
      this.incidents = page.incidents;
      this.draw();
      const more = page.next === null ? null : h("p", { class: "hint" }, `The latest ${ROWS} are shown; an export has the others.`);
      fill(this.fault, this.incidents.length === 0 ? empty("There is none in this state.") : more);
    } catch (error) {
      if (!isAbort(error)) fill(this.fault, failure(error));
    }
  }

  private draw(): void {
    const chosen = (document.activeElement as HTMLElement | null)?.closest("tr")?.dataset["id"];
    this.list.replaceChildren(...this.incidents.map((incident) => this.row(incident)));
    if (chosen !== undefined) this.list.querySelector<HTMLElement>(`tr[data-id="${CSS.escape(chosen)}"]`)?.focus();
  }

  private row(incident: Incident): HTMLElement {
    const button = (name: string, state: Incident["state"]) =>
      h("button", { type: "button", disabled: incident.state === state, onclick: () => void this.triage(incident, state) }, name);
    const label = (name: string, word: string) => h("button", { type: "button", onclick: () => void this.label(incident, word) }, name);
    const row = h(
      "tr",
      { tabindex: "0" },
      h("td", {}, badge(incident.worst)),
      h("td", {}, link(`event/${incident.worst_event}`, incident.title), incident.note === null ? null : h("p", { class: "hint" }, incident.note)),
      h("td", {}, sourceLink(incident.subject), incident.role === "destination" ? " (target)" : ""),
      h("td", { class: "number" }, count(incident.events)),
      h("td", { class: "number" }, count(incident.count)),
      h("td", {}, moment(incident.time)),
      h("td", {}, moment(incident.last_time)),
      h("td", {}, incident.state),
      h(
        "td",
        {},
        h(
          "div",
          { class: "actions" },
          button("Acknowledge", "acknowledged"),
          button("Close", "closed"),
          button("Open", "open"),
          label("Attack", "malicious"),
          label("False alarm", "benign"),
        ),
      ),
    );
    row.dataset["id"] = incident.id;
    return row;
  }

  // --- triage ------------------------------------------------------------------------------------------------------

  private async triage(incident: Incident, state: Incident["state"]): Promise<void> {
    await this.tell(async () => {
      await change<Incident>("PATCH", `/api/incidents/${encodeURIComponent(incident.id)}`, { state });
      return `${incident.title}: ${state}.`;
    });
  }

  /** Says of its worst event what it was; a false alarm is closed as well. */
  private async label(incident: Incident, label: string): Promise<void> {
    await this.tell(async () => {
      await change("POST", `/api/events/${encodeURIComponent(incident.worst_event)}/label`, { label });
      const state = label === "benign" ? "closed" : "acknowledged";
      await change<Incident>("PATCH", `/api/incidents/${encodeURIComponent(incident.id)}`, { state });
      return `${incident.title}: said to be ${label}, and ${state}.`;
    });
  }

  private async tell(call: () => Promise<string>): Promise<void> {
    try {
      const text = await call();
      await this.load();
      fill(this.fault, h("p", { class: "hint" }, text));
    } catch (error) {
      fill(this.fault, failure(error));
    }
  }

  private press(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea, dialog") !== null) return;
    if (event.key.length === 1 && !hasKeys()) return;
    const rows = [...this.list.querySelectorAll<HTMLElement>("tr")];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    if (event.key === "j" || event.key === "k") {
      const next = event.key === "j" ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0);
      rows[next]?.focus();
      return;
    }
    const incident = this.incidents.find(({ id }) => id === rows[at]?.dataset["id"]);
    if (incident === undefined) return;
    const states: Record<string, Incident["state"]> = { a: "acknowledged", c: "closed", o: "open" };
    const labels: Record<string, string> = { f: "benign", m: "malicious" };
    if (states[event.key] !== undefined) void this.triage(incident, states[event.key]!);
    else if (labels[event.key] !== undefined) void this.label(incident, labels[event.key]!);
    else if (event.key === "Enter" && target.tagName === "TR") location.hash = `#/event/${incident.worst_event}`;
  }

  // --- export ------------------------------------------------------------------------------------------------------

  private async save(kind: "csv" | "json"): Promise<void> {
    await this.tell(async () => {
      const [all, isWhole] = await this.all();
      const text = kind === "json" ? JSON.stringify(all, null, 2) : csvOf(all);
      download(`incidents.${kind}`, kind === "json" ? "application/json" : "text/csv", text);
      return isWhole ? `${count(all.length)} incidents exported.` : `The latest ${count(all.length)} incidents exported; there are more, which GET /api/incidents gives page by page.`;
    });
  }

  /** The latest, and whether these are all. */
  private async all(): Promise<[Incident[], boolean]> {
    const all: Incident[] = [];
    let cursor: string | null = null;
    do {
      const page: IncidentList = await get<IncidentList>("/api/incidents", { state: this.state.value, limit: 1000, cursor }, this.frame.signal);
      all.push(...page.incidents);
      cursor = page.next;
    } while (cursor !== null && all.length < EXPORT_ROWS);
    return [all, cursor === null];
  }
}

/** RFC 4180; a cell that a spreadsheet would take for a formula begins with an apostrophe. */
function csvOf(incidents: Incident[]): string {
  const names = ["id", "worst", "kind", "title", "role", "subject", "events", "count", "time", "last_time", "state", "note", "rules", "worst_event"] as const;
  const cell = (value: unknown) => {
    const text = Array.isArray(value) ? value.join(" ") : value === null ? "" : String(value);
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = incidents.map((incident) => names.map((name) => cell(incident[name])).join(","));
  return [names.join(","), ...lines, ""].join("\r\n");
}

function download(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
