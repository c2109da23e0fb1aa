// What the sensor is asked, typed by its own contract (docs/openapi.json).
import type { components } from "../types/api";

type Schema = components["schemas"];
export type Accounting = Schema["Accounting"];
export type ByVerdict = Schema["ByVerdict"];
export type Configuration = Schema["Configuration"];
export type EventList = Schema["EventList"];
export type Explanation = Schema["ShownExplanation"];
export type FeatureBatch = Schema["FeatureBatch"];
export type FeatureValues = Schema["FeatureValues"];
export type FeatureSchema = Schema["ShownSchema"];
export type Findings = Schema["Findings"];
export type Health = Schema["Health"];
export type Incident = Schema["ShownIncident"];
export type IncidentList = Schema["IncidentList"];
export type Model = Schema["ShownModel"];
export type Profile = Schema["ShownProfile"];
export type SensorEvent = Schema["ShownEvent"];
export type SessionList = Schema["SessionList"];
export type SourceList = Schema["SourceList"];
export type SourcePage = Schema["SourcePage"];
export type Stats = Schema["SensorStats"];
export type Timeline = Schema["Timeline"];
export type Top = Schema["Top"];
export type Verdict = Schema["Verdict"];
export type WholeEvent = Schema["WholeEvent"];

/** From the least to the worst. */
export const VERDICTS: readonly Verdict[] = ["SAFE", "WARNING", "HIGH", "CRITICAL"];

/** An answer that is not what was asked for. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** What the answer said, where it was no error but a state. */
    readonly body: unknown = null,
  ) {
    super(message);
  }
}

const TOKEN = "phantomnet-token";

/** The token is kept as long as the tab, and shown to nobody but the sensor. */
export function token(): string | null {
  return sessionStorage.getItem(TOKEN);
}

export function keepToken(value: string): void {
  sessionStorage.setItem(TOKEN, value);
}

/** Called when the sensor wants a token that it was not shown. */
let whenUnauthorized: () => void = () => {};

export function onUnauthorized(call: () => void): void {
  whenUnauthorized = call;
}

export type Query = Record<string, string | number | null | undefined>;

/** A path with those parameters that have a value. */
export function address(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** Sends a request with the token, if there is one; anything but success becomes a `Refusal`. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const shown = token();
  if (shown !== null) headers.set("Authorization", `Bearer ${shown}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, "the sensor does not answer");
  }
  if (response.ok) return response;
  if (response.status === 401) whenUnauthorized();
  throw await refusalOf(response);
}

/** With the sentence of an error answer; of a list of faults, all of them. */
async function refusalOf(response: Response): Promise<Refusal> {
  const { status } = response;
  try {
    const body = (await response.json()) as { detail?: unknown };
    if (body.detail === undefined) return new Refusal(status, response.statusText, body);
    if (typeof body.detail === "string") return new Refusal(status, body.detail);
    const faults = body.detail as { loc: unknown[]; msg: string }[];
    return new Refusal(status, faults.map((fault) => `${String(fault.loc.at(-1))} ${fault.msg}`).join("; "));
  } catch {
    return new Refusal(status, `${status} ${response.statusText}`);
  }
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const response = await send(address(path, query), signal ? { signal } : {});
  return (await response.json()) as T;
}

export async function change<T>(method: "POST" | "PATCH", path: string, body: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  const response = await send(path, { method, headers, body: JSON.stringify(body) });
  return (await response.json()) as T;
}

/** The newest stored event of all: what is asked for after this can be followed from there on, and nothing falls in between. */
export async function newestEvent(signal: AbortSignal): Promise<string | null> {
  const { events } = await get<EventList>("/api/events", { limit: 1 }, signal);
  return events[0]?.id ?? null;
}

/** How each part is; also when the answer is 503, because nothing is judged. */
export async function health(signal?: AbortSignal): Promise<Health> {
  try {
    return await get<Health>("/health", {}, signal);
  } catch (error) {
    if (error instanceof Refusal && error.body !== null) return error.body as Health;
    throw error;
  }
}
