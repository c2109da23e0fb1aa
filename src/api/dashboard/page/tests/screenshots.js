// Pictures of every page in both themes, with what a demonstration has shown for a minute: `make screenshots`.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Sensor, closeTab, openTab, startBrowser } from "./harness.js";

const into = process.argv[2] ?? "screenshots";
const MINUTE = 60_000;

const sensor = await Sensor.start({ speed: "x3" });
const browser = await startBrowser();
await mkdir(into, { recursive: true });
// Somebody looks all the while, so that the first page has its minute of rates.
const looking = {};
for (const theme of ["dark", "light"]) looking[theme] = await openTab(browser, sensor, { theme });
await new Promise((resolve) => setTimeout(resolve, MINUTE));

const { events } = await sensor.get("/api/events?verdict=HIGH,CRITICAL&limit=1");
const { sources } = await sensor.get("/api/top?limit=1");
const PAGES = [
  ["events", "#/events?verdict=WARNING%2CHIGH%2CCRITICAL"],
  ["event", `#/event/${events[0].id}`],
  ["incidents", "#/incidents"],
  ["sources", "#/sources"],
  ["source", `#/source/${sources[0].ip}`],
  ["model", "#/model"],
  ["system", "#/system"],
];

for (const theme of ["dark", "light"]) {
  const tab = looking[theme];
  await tab.screenshot({ path: join(into, `overview-${theme}.png`), fullPage: true });
  for (const [name, hash] of PAGES) {
    await tab.goto(`${sensor.url}/${hash}`);
    await tab.waitForTimeout(2_500);
    await tab.screenshot({ path: join(into, `${name}-${theme}.png`), fullPage: name !== "events" && name !== "incidents" && name !== "sources" });
  }
  if (tab.faults.length > 0) throw new Error(tab.faults.join("\n"));
  await closeTab(tab);
}
await browser.close();
await sensor.stop();
