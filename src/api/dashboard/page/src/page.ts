// What a page of the dashboard is, and what all of them share.
import { fill, h, type Child } from "./dom";
import { Refusal, type Findings, type Verdict } from "./api";
import type { Listener, StreamStats } from "./stream";

/** The span that sums are about, seconds before now. */
export const RANGES: readonly [seconds: number, name: string][] = [
  [900, "15 min"],
  [3_600, "1 hour"],
  [21_600, "6 hours"],
  [86_400, "24 hours"],
  [604_800, "7 days"],
];

/** What is shown at an address such as `#/events?verdict=HIGH`. */
export interface Place {
  /** `events`, or `event/0192a3b4c5d6e7f8-17` in two parts. */
  parts: string[];
  query: URLSearchParams;
}

/** What a page wants of the tab's stream. */
export type EventListener = Pick<Listener, "verdict" | "gap">;

/** What a page may ask of the frame around it. */
export interface Frame {
  place: Place;
  /** Aborted when another page is opened. */
  signal: AbortSignal;
  /** Seconds before now that the reader wants to see. */
  range(): number;
  isPaused(): boolean;
  /** Calls at once, and again and again until the page is left; not while it is paused, hidden or still busy with the last call. */
  every(milliseconds: number, call: () => Promise<void> | void): void;
  /** Calls with what the sensor says of itself each second; not while it is paused. */
  onStats(call: (stats: StreamStats) => void): void;
  /** Calls with the events that the filter lets through, from behind `last` on, until the page is left or follows something else. */
  follow(filter: Record<string, string>, listener: EventListener, last: string | null): void;
  /** Follows no events any more. */
  unfollow(): void;
  /** Whether the reader marks text of the page: it must not be drawn anew under their hands. */
  isHeld(): boolean;
  /** Puts the filters of the page into its address without leaving it. */
  remember(query: URLSearchParams): void;
}

export interface Page {
  title: string;
  show(root: HTMLElement, frame: Frame): void;
}

/** A part of a page with its own heading. */
export function panel(title: string, attributes: Record<string, string>, ...children: Child[]): HTMLElement {
  return h("section", { ...attributes, class: `panel ${attributes["class"] ?? ""}`, "aria-label": title }, h("h2", {}, title), ...children);
}

export function badge(verdict: Verdict): HTMLElement {
  return h("span", { class: `verdict ${verdict.toLowerCase()}` }, verdict);
}

export function empty(text: string): HTMLElement {
  return h("p", { class: "empty" }, text);
}

/** Shows that something is on its way, then it, or why it isn't there. */
export async function load<T>(target: Element, asked: Promise<T>, show: (answer: T) => Child): Promise<void> {
  const waits = setTimeout(() => {
    if (!target.hasChildNodes()) fill(target, h("p", { class: "loading", role: "status" }, "Loading …"));
  }, 150);
  try {
    const answer = await asked;
    fill(target, show(answer));
  } catch (error) {
    if (isAbort(error)) return;
    fill(target, failure(error));
  } finally {
    clearTimeout(waits);
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** What could not be shown, and whose fault it is. */
export function failure(error: unknown): HTMLElement {
  const refusal = error instanceof Refusal ? error : null;
  const text =
    refusal === null
      ? `The page has a fault: ${String(error)}`
      : refusal.status === 0
        ? "The sensor does not answer."
        : refusal.status === 503
          ? `Not available now: ${refusal.message}.`
          : refusal.status === 404
            ? `Not found: ${refusal.message}.`
            : `Refused: ${refusal.message}.`;
  return h("p", { class: "failed", role: "alert" }, text);
}

/** A table whose columns have names; on a narrow screen each cell carries its own. */
export function table(names: string[], rows: Child[][], attributes: Record<string, string> = {}): HTMLElement {
  return h(
    "div",
    { class: "scrolls", tabindex: "0", role: "group", "aria-label": attributes["aria-label"] ?? names.join(", ") },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell))))),
    ),
  );
}

/** Pairs of a name and what it is; what is null is left out. */
export function facts(pairs: [string, Child][]): HTMLElement {
  const known = pairs.filter(([, value]) => value !== null);
  return h("dl", { class: "facts" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** What was looked at on machine and interface, and what mends it. */
export function findingRows(findings: Findings["findings"]): HTMLElement {
  return table(
    ["It is", "Where", "What", "Mend it by"],
    findings.map(({ severity, part, what, why, mend }) => [
      h("span", { class: severity === "fault" || severity === "warning" ? "outside" : "" }, severity),
      part,
      why === "" ? what : `${what}: ${why}`,
      mend === null ? "" : h("code", {}, mend),
    ]),
    { "aria-label": "Findings" },
  );
}

/** Whether single keys do something. */
export function hasKeys(): boolean {
  return !document.documentElement.hasAttribute("data-keys-off");
}

/** A link to a place of this page. */
export function link(to: string, ...children: Child[]): HTMLElement {
  return h("a", { href: `#/${to}` }, ...children);
}

export function sourceLink(address: string | null): Child {
  return address === null ? "many" : link(`source/${encodeURIComponent(address)}`, address);
}

export function query(values: Record<string, string | number | null | undefined>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, String(value));
  }
  return parameters.toString();
}
