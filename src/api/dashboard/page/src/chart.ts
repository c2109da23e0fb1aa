// Charts: uPlot in the colours of the theme.
import uPlot from "uplot";
import { VERDICTS, type Timeline, type Verdict } from "./api";
import { short } from "./format";

/** What the style sheet says a colour is. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Lines and letters of an axis. */
export function lines(): uPlot.Axis {
  return { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
}

/** A time in the form that its neighbours need to be told apart. */
function timeTicks(_plot: uPlot, times: number[], _axis: number, _space: number, step: number): string[] {
  const two = (value: number) => String(value).padStart(2, "0");
  return times.map((time) => {
    const at = new Date(time * 1000);
    const [hours, minutes, seconds] = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two);
    if (step >= 86_400 || (hours === "00" && minutes === "00" && step >= 3_600)) return `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    return step < 60 ? `${hours}:${minutes}:${seconds}` : `${hours}:${minutes}`;
  });
}

function axes(unit: string): uPlot.Axis[] {
  return [
    { ...lines(), space: 70, values: timeTicks },
    { ...lines(), size: 62, values: (_plot, values) => values.map((value) => short(value, unit)) },
  ];
}

/** A chart that fills the width of its element and follows it. */
export class Chart {
  private readonly plot: uPlot;
  private readonly observer: ResizeObserver;

  constructor(element: HTMLElement, height: number, options: Omit<uPlot.Options, "width" | "height">, data: uPlot.AlignedData) {
    const width = () => Math.max(200, element.clientWidth);
    this.plot = new uPlot({ width: width(), height, ...options }, data, element);
    this.observer = new ResizeObserver(() => {
      if (!element.isConnected) this.remove();
      else if (this.plot.width !== width()) this.plot.setSize({ width: width(), height });
    });
    this.observer.observe(element);
  }

  data(data: uPlot.AlignedData): void {
    this.plot.setData(data);
  }

  show(series: number, isShown: boolean): void {
    this.plot.setSeries(series, { show: isShown });
  }

  remove(): void {
    this.observer.disconnect();
    this.plot.destroy();
  }
}

/** One line over time. */
export function lineOverTime(element: HTMLElement, name: string, unit: string): Chart {
  return new Chart(
    element,
    220,
    {
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_plot, _least, most) => [0, Math.max(1, most * 1.1)] } },
      axes: axes(unit),
      series: [{}, { label: name, stroke: colour("accent"), fill: colour("accent-faint"), width: 2, points: { show: false } }],
    },
    [[], []],
  );
}

/** Verdicts, each drawn upon those below it. */
export class StackedVerdicts {
  private readonly chart: Chart;
  private readonly shown: Set<Verdict>;
  private newest: Timeline | null = null;

  constructor(element: HTMLElement, shown: Iterable<Verdict>) {
    this.shown = new Set(shown);
    const bars = uPlot.paths.bars!({ size: [0.9, 40], gap: 0 });
    this.chart = new Chart(
      element,
      220,
      {
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_plot, _least, most) => [0, Math.max(1, (most || 0) * 1.1)] } },
        axes: axes(""),
        // Drawn in this order: the tallest sum first, so that the lower ones lie before it.
        series: [
          {},
          ...[...VERDICTS].map((verdict) => ({
            label: verdict,
            fill: colour(verdict.toLowerCase()),
            stroke: colour(verdict.toLowerCase()),
            width: 0,
            paths: bars,
            points: { show: false },
          })),
        ],
      },
      [[], [], [], [], []],
    );
  }

  isShown(verdict: Verdict): boolean {
    return this.shown.has(verdict);
  }

  toggle(verdict: Verdict): void {
    if (!this.shown.delete(verdict)) this.shown.add(verdict);
    if (this.newest !== null) this.draw(this.newest);
  }

  draw(timeline: Timeline): void {
    this.newest = timeline;
    const times = timeline.buckets.map((bucket) => Date.parse(bucket.time) / 1000);
    // SAFE stands on the three others and is drawn first, CRITICAL stands on the ground and is drawn last.
    const sums = VERDICTS.map((lowest, nth) =>
      timeline.buckets.map((bucket) => {
        if (!this.shown.has(lowest)) return null;
        return VERDICTS.slice(nth).reduce((sum, verdict) => sum + (this.shown.has(verdict) ? bucket.verdicts[verdict] : 0), 0);
      }),
    );
    this.chart.data([times, ...sums] as uPlot.AlignedData);
  }
}

/** A curve of one number over another. */
export function curve(element: HTMLElement, of: { x: string; y: string }, points: [number, number][], log = false): Chart {
  return new Chart(
    element,
    220,
    {
      legend: { show: false },
      scales: { x: { time: false, ...(log ? { distr: 3 as const } : {}) }, y: {} },
      axes: [
        { ...lines(), label: of.x, labelSize: 22 },
        { ...lines(), label: of.y, labelSize: 22, size: 62 },
      ],
      series: [{}, { stroke: colour("accent"), width: 2, points: { show: false } }],
    },
    [points.map(([x]) => x), points.map(([, y]) => y)],
  );
}
