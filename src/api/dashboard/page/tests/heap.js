// What the tab's heap does under a stream of events: `node tests/heap.js SECONDS`. Measured after a collection of garbage, each tenth of the time.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Sensor, openTab, startBrowser } from "./harness.js";

const seconds = Number(process.argv[2] ?? 300);
const folder = await mkdtemp(join(tmpdir(), "phantomnet-heap-"));
const config = join(folder, "heap.toml");
// Each packet is an event.
await writeFile(config, '[events]\nstore = "all"\ncoalesce_ms = 0\nper_second = 1000000\n');
const sensor = await Sensor.start({ folder, config, speed: "x2" });
const browser = await startBrowser();
const pages = { overview: "/", events: "/#/events?live=1" };
const tabs = [];
for (const [name, path] of Object.entries(pages)) {
  const tab = await openTab(browser, sensor, { path });
  tabs.push({ name, tab, session: await tab.context().newCDPSession(tab) });
}

const before = await sensor.get("/api/accounting?limit=1");
const began = Date.now();
console.log("seconds  events/s  " + tabs.map(({ name }) => `${name}: heap MiB, nodes`).join("  "));
for (let nth = 0; nth <= 10; nth += 1) {
  if (nth > 0) await new Promise((resolve) => setTimeout(resolve, seconds * 100));
  const shown = [];
  for (const { session } of tabs) {
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    const { nodes } = await session.send("Memory.getDOMCounters");
    shown.push(`${(usedSize / (1 << 20)).toFixed(1)}, ${nodes}`);
  }
  const now = await sensor.get("/api/accounting?limit=1");
  const took = (Date.now() - began) / 1000;
  const rate = (now.collector.events - before.collector.events) / Math.max(took, 1);
  console.log(`${took.toFixed(0)}  ${rate.toFixed(0)}  ${shown.join("  ")}`);
}
for (const { tab } of tabs) if (tab.faults.length > 0) console.log(tab.faults);
await browser.close();
await sensor.stop();
