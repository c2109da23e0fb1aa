// The frame around every page: navigation, time range, pause, theme, connection; and which page is shown.
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { health as askHealth, keepToken, onUnauthorized } from "./api";
import { fill, h, say } from "./dom";
import { RANGES, empty, failure, hasKeys, isAbort, type EventListener, type Frame, type Page, type Place } from "./page";
import { Stream, type Notice, type StreamStats } from "./stream";
import { eventPage } from "./pages/event";
import { eventsPage } from "./pages/events";
import { incidentsPage } from "./pages/incidents";
import { modelPage } from "./pages/model";
import { overviewPage } from "./pages/overview";
import { sourcePage } from "./pages/source";
import { sourcesPage } from "./pages/sources";
import { systemPage } from "./pages/system";

const PAGES: Record<string, Page> = {
  overview: overviewPage,
  events: eventsPage,
  event: eventPage,
  incidents: incidentsPage,
  sources: sourcesPage,
  source: sourcePage,
  model: modelPage,
  system: systemPage,
};

const NAVIGATION: [page: string, name: string, key: string][] = [
  ["overview", "Overview", "1"],
  ["events", "Events", "2"],
  ["incidents", "Incidents", "3"],
  ["sources", "Sources", "4"],
  ["model", "Model", "5"],
  ["system", "System", "6"],
];

const HEALTH_EVERY = 5_000;
const NOTICE_SHOWN = 15_000;
/** A tab that nobody sees for so long gives its place at the sensor back. */
const HIDDEN_MOST = 60_000;
/** A question of the sensor's health that takes longer is an answer too. */
const ANSWER_MOST = 10_000;

// --- what the reader has set ---------------------------------------------------------------------------------------

const settings = {
  theme: localStorage.getItem("theme"),
  range: Number(localStorage.getItem("range") ?? RANGES[0]![0]),
  isPaused: false,
  hasKeys: localStorage.getItem("keys") !== "off",
};

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

/** What the reader has chosen, else what the system prefers. */
function applyTheme(): void {
  document.documentElement.setAttribute("data-theme", isDark() ? "dark" : "light");
}

function isDark(): boolean {
  return settings.theme === null ? prefersDark.matches : settings.theme === "dark";
}

// --- the frame -----------------------------------------------------------------------------------------------------

const main = h("main", { id: "main", tabindex: "-1" });
const links = NAVIGATION.map(([page, name, key]) => h("a", { href: `#/${page}`, "aria-keyshortcuts": key }, name));
const connection = h("span", { class: "connection", role: "status", "aria-live": "polite" }, "connecting …");
const health = h("a", { href: "#/system", class: "health" }, "…");
const notices = h("div", { class: "notices", role: "log", "aria-label": "Notices" });
const range = h(
  "select",
  { "aria-label": "Time range", onchange: () => setRange(Number(range.value)) },
  RANGES.map(([seconds, name]) => h("option", { value: seconds, selected: seconds === settings.range }, name)),
);
const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => setPaused(!settings.isPaused) }, "Pause");
const theme = h("button", { type: "button", onclick: toggleTheme }, "Theme");
const keys = h("button", { type: "button", "aria-haspopup": "dialog", onclick: showKeys }, "Keys");

document.body.append(
  h("a", { class: "skip", href: "#main", onclick: skip }, "To the content"),
  h(
    "header",
    {},
    h("a", { class: "brand", href: "#/overview" }, "PhantomNet"),
    h("nav", { "aria-label": "Pages" }, links),
    h("div", { class: "controls" }, health, connection, range, pause, theme, keys),
  ),
  notices,
  main,
);

function skip(event: Event): void {
  event.preventDefault();
  main.focus();
}

function setRange(seconds: number): void {
  settings.range = seconds;
  localStorage.setItem("range", String(seconds));
  open();
}

function setPaused(isPaused: boolean): void {
  settings.isPaused = isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  say(pause, isPaused ? "Go on" : "Pause");
  document.documentElement.toggleAttribute("data-paused", isPaused);
}

function toggleTheme(): void {
  settings.theme = isDark() ? "light" : "dark";
  localStorage.setItem("theme", settings.theme);
  applyTheme();
  open();
}

// --- the sensor ----------------------------------------------------------------------------------------------------

const statsListeners = new Set<(stats: StreamStats) => void>();
let stream: Stream | null = null;

/** What the page that is shown wants of the tab's one stream, beside figures and notices. */
interface Following {
  filter: Record<string, string>;
  listener: EventListener;
  page: AbortSignal | null;
}

/** No event is over 1. */
const FIGURES_ALONE: Following = { filter: { verdict: "CRITICAL", min_score: "1" }, listener: {}, page: null };
let following = FIGURES_ALONE;

/** A browser has few connections to a sensor, and a sensor few places for readers: a tab has one stream, whatever it shows. */
function connect(last: string | null): void {
  stream?.close();
  const { filter, listener } = following;
  stream = new Stream(
    filter,
    {
      ...listener,
      connected: () => showConnection("live", "live"),
      broken: (reason) => showConnection("broken", `disconnected: ${reason}; trying again`),
      stats: (stats) => {
        if (!settings.isPaused) for (const call of statsListeners) call(stats);
      },
      notice: showNotice,
    },
    last,
  );
}

function follow(next: Following, last: string | null): void {
  following = next;
  connect(last);
}

let hidden: ReturnType<typeof setTimeout> | undefined;

document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(rest, HIDDEN_MOST);
  // Goes on behind what it has seen; what the sensor no longer has is a gap that the page tells of.
  else if (connection.dataset["state"] === "resting") connect(stream?.position ?? null);
});

function rest(): void {
  stream?.close();
  showConnection("resting", "at rest: this tab was hidden");
}

function showConnection(state: string, text: string): void {
  connection.dataset["state"] = state;
  say(connection, isHeld() ? HELD : text);
  document.documentElement.toggleAttribute("data-disconnected", state !== "live");
}

const HELD = "held while text is marked";

/** Whether text of the page is marked. */
function isHeld(): boolean {
  const marked = getSelection();
  return marked !== null && !marked.isCollapsed && main.contains(marked.anchorNode);
}

document.addEventListener("selectionchange", () => {
  if (connection.dataset["state"] === "live") say(connection, isHeld() ? HELD : "live");
});

function showNotice(notice: Notice): void {
  const shown = h(
    "p",
    { class: `notice ${notice.kind}` },
    notice.text,
    h("button", { type: "button", "aria-label": "Dismiss", onclick: () => shown.remove() }, "×"),
  );
  notices.prepend(shown);
  while (notices.childElementCount > 3) notices.lastElementChild!.remove();
  setTimeout(() => shown.remove(), NOTICE_SHOWN);
}

let isAskingHealth = false;

async function showHealth(): Promise<void> {
  if (isAskingHealth) return;
  isAskingHealth = true;
  try {
    const answer = await askHealth(AbortSignal.timeout(ANSWER_MOST));
    health.dataset["state"] = answer.status;
    say(health, answer.status);
    health.title = answer.problems.join("\n");
  } catch {
    health.dataset["state"] = "error";
    say(health, "error");
  } finally {
    isAskingHealth = false;
  }
}

onUnauthorized(() => {
  if (document.querySelector("dialog")) return;
  const input = h("input", { type: "password", autocomplete: "current-password", "aria-label": "Token", required: true, pattern: "[!-~]+", title: "visible ASCII characters" });
  const dialog = h(
    "dialog",
    { "aria-label": "Token" },
    h("p", {}, "This sensor wants a token (http.token_file of its configuration). It is kept until this tab is closed."),
    h(
      "form",
      {
        method: "dialog",
        onsubmit: () => {
          keepToken(input.value.trim());
          connect(null);
          open();
        },
      },
      input,
      h("button", { type: "submit" }, "Show it"),
    ),
  );
  // Escape closes it as well; it is asked again at the next refusal.
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
});

// --- which page ----------------------------------------------------------------------------------------------------

let left = new AbortController();

function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter((part) => part !== "").map(decodeURIComponent);
  return { parts: parts.length === 0 ? ["overview"] : parts, query: new URLSearchParams(query) };
}

function open(): void {
  left.abort();
  left = new AbortController();
  const { signal } = left;
  const place = placeOf(location.hash);
  const [name = ""] = place.parts;
  const page = PAGES[name];
  const section = name === "event" ? "events" : name === "source" ? "sources" : name;
  for (const link of links) {
    if (link.getAttribute("href") === `#/${section}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  statsListeners.clear();
  const root = h("div", { class: `page ${name}` });
  fill(main, root);
  document.title = page === undefined ? "PhantomNet" : `${page.title} · PhantomNet`;
  if (page === undefined) fill(root, empty(`There is no page “${name}”.`));
  else page.show(root, frameOf(place, signal, root));
  if (following.page?.aborted) follow(FIGURES_ALONE, null);
}

function frameOf(place: Place, signal: AbortSignal, root: HTMLElement): Frame {
  return {
    place,
    signal,
    range: () => settings.range,
    isPaused: () => settings.isPaused,
    every: (milliseconds, call) => {
      let isBusy = false;
      // One, however often it fails.
      const fault = h("div", {});
      const turn = async (isFirst: boolean) => {
        if (isBusy || (!isFirst && (settings.isPaused || isHeld() || document.hidden))) return;
        isBusy = true;
        try {
          await call();
          fault.remove();
        } catch (error) {
          if (isAbort(error)) return;
          fill(fault, failure(error));
          root.prepend(fault);
        } finally {
          isBusy = false;
        }
      };
      const timer = setInterval(() => void turn(false), milliseconds);
      signal.addEventListener("abort", () => clearInterval(timer));
      void turn(true);
    },
    onStats: (call) => {
      statsListeners.add(call);
    },
    follow: (filter, listener, last) => {
      if (!signal.aborted) follow({ filter, listener, page: signal }, last);
    },
    unfollow: () => {
      if (following.page === signal) follow(FIGURES_ALONE, null);
    },
    isHeld,
    remember: (query) => {
      const text = query.toString();
      history.replaceState(null, "", `#/${place.parts.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`);
    },
  };
}

// --- keys ----------------------------------------------------------------------------------------------------------

function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, select, textarea, dialog") !== null;
}

/** Keys without Ctrl get in the way of who speaks to the machine, or whose hand shakes: they can be turned off (WCAG 2.1.4). */
function showKeys(): void {
  const isOn = h("input", { type: "checkbox", checked: settings.hasKeys, onchange: () => setKeys(isOn.checked) });
  const rows: [string, string][] = [...NAVIGATION.map(([, name, key]): [string, string] => [key, name]), ["p", "Pause, go on"], ["t", "Theme"], ["j, k", "Incidents: the next, the one before"], ["a, c, o", "Incidents: acknowledge, close, open"], ["m, f", "Incidents: label as malicious, as a false positive"]];
  const dialog = h(
    "dialog",
    { "aria-label": "Keys" },
    h("label", { class: "check" }, isOn, "Single keys do something"),
    h("dl", { class: "facts" }, rows.map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)))),
    h("form", { method: "dialog" }, h("button", { type: "submit" }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function setKeys(hasKeys: boolean): void {
  settings.hasKeys = hasKeys;
  localStorage.setItem("keys", hasKeys ? "on" : "off");
  document.documentElement.toggleAttribute("data-keys-off", !hasKeys);
}

addEventListener("keydown", (event) => {
  if (!hasKeys() || event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
  const known = NAVIGATION.find(([, , key]) => key === event.key);
  if (known !== undefined) location.hash = `#/${known[0]}`;
  else if (event.key === "p") setPaused(!settings.isPaused);
  else if (event.key === "t") toggleTheme();
});

addEventListener("hashchange", open);
// Charts are drawn in the colours of the theme, so the page is shown anew.
prefersDark.addEventListener("change", () => {
  applyTheme();
  open();
});
applyTheme();
setKeys(settings.hasKeys);
connect(null);
open();
setInterval(() => void (document.hidden || showHealth()), HEALTH_EVERY);
void showHealth();
