// Enough of OpenMetrics to read durations: samples, quantiles that are told, and histograms by interpolation as Prometheus does it.

export interface Sample {
  name: string;
  labels: Map<string, string>;
  value: number;
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

export function samplesOf(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, name, labels = "", value] = match;
    const known = new Map([...labels.matchAll(LABEL)].map(([, label, content]): [string, string] => [label!, content!]));
    samples.push({ name: name!, labels: known, value: value === "+Inf" ? Infinity : Number(value) });
  }
  return samples;
}

export interface Distribution {
  name: string;
  /** What tells it from others of its name. */
  labels: string;
  /** Null where only its quantiles are told. */
  count: number | null;
  /** Seconds at a quantile, by its name. */
  at: Map<string, number>;
}

const ASKED = ["0.5", "0.99", "0.999"];

/** Every duration that is told by its quantiles or as a histogram. */
export function quantiles(samples: Sample[]): Distribution[] {
  const found = new Map<string, { name: string; labels: string; count: number; at: Map<string, number>; buckets: [number, number][] }>();
  const of = (name: string, labels: Map<string, string>, without: string) => {
    const text = [...labels].filter(([label]) => label !== without).map(([label, value]) => `${label} ${value}`).join(", ");
    const key = `${name}{${text}}`;
    const one = found.get(key) ?? { name, labels: text, count: 0, at: new Map<string, number>(), buckets: [] };
    found.set(key, one);
    return one;
  };
  for (const { name, labels, value } of samples) {
    const share = labels.get("share");
    if (name.endsWith("_seconds") && share !== undefined) of(name, labels, "share").at.set(share, value);
    else if (name.endsWith("_seconds_bucket")) of(name.slice(0, -7), labels, "le").buckets.push([bound(labels.get("le")), value]);
    else if (name.endsWith("_seconds_count")) of(name.slice(0, -6), labels, "").count = value;
  }
  const all = [...found.values()].filter(({ count, at, buckets }) => at.size > 0 || (count > 0 && buckets.length > 0));
  for (const one of all) {
    for (const quantile of ASKED) {
      if (!one.at.has(quantile) && one.buckets.length > 0) one.at.set(quantile, interpolated(one.buckets, Number(quantile)));
    }
  }
  return all.map(({ name, labels, count, at }) => ({ name, labels, count: count === 0 ? null : count, at }));
}

function bound(text: string | undefined): number {
  return text === undefined || text === "+Inf" ? Infinity : Number(text);
}

function interpolated(buckets: [bound: number, below: number][], quantile: number): number {
  const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
  const all = sorted.at(-1)?.[1] ?? 0;
  const rank = quantile * all;
  let [from, before] = [0, 0];
  for (const [to, below] of sorted) {
    if (below >= rank) {
      if (to === Infinity) return from;
      return below === before ? to : from + ((to - from) * (rank - before)) / (below - before);
    }
    [from, before] = [to, below];
  }
  return from;
}
