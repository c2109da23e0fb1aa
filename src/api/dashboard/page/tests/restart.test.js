// The sensor goes away and comes back while somebody looks.
import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { Sensor, closeTab, openTab, startBrowser } from "./harness.js";

let browser;
let sensor;

before(async () => {
  [sensor, browser] = await Promise.all([Sensor.start(), startBrowser()]);
});

after(async () => {
  await browser?.close();
  await sensor?.stop();
});

it("the page says that the sensor is away, connects again when it is back, and shows what comes then", async () => {
  const tab = await openTab(browser, sensor, { path: "/#/events?live=1" });
  await tab.getByText(/came while following/).waitFor();
  const connection = tab.locator(".connection");
  assert.equal(await connection.textContent(), "live");
  const { folder, url } = sensor;
  await sensor.stop({ keep: true });
  await tab.waitForFunction(() => document.querySelector(".connection").dataset.state === "broken");
  const newest = await tab.locator("table.events tbody tr").first().getAttribute("data-id");
  sensor = await Sensor.start({ listen: url.slice("http://".length), folder });
  await tab.waitForFunction(() => document.querySelector(".connection").dataset.state === "live", null, { timeout: 20_000 });
  // Another run has another epoch, the first half of an event's name.
  await tab.waitForFunction((id) => document.querySelector("table.events tbody tr")?.dataset.id.split("-")[0] !== id.split("-")[0], newest, { timeout: 20_000 });
  const shown = await tab.locator("table.events tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.id));
  assert.equal(new Set(shown).size, shown.length, "no event is shown twice");
  // Events of a run are numbered without gaps, and nothing is filtered: what came by the stream has none, or the page says so.
  const epoch = shown[0].split("-")[0];
  const numbers = shown.filter((id) => id.startsWith(epoch)).map((id) => Number(id.split("-")[1]));
  const isWhole = Math.max(...numbers) - Math.min(...numbers) + 1 === numbers.length;
  const saysGap = (await tab.locator("main").textContent()).includes("More came than this page could take");
  assert.ok(isWhole || saysGap, `${numbers}`);
  await closeTab(tab);
});

it("a sensor that wants a token gets it from the page, also for the stream", async () => {
  const folder = await mkdtemp(join(tmpdir(), "phantomnet-token-"));
  await writeFile(join(folder, "token"), "let-me-in-0123456789-0123456789-abcdef\n", { mode: 0o600 });
  await writeFile(join(folder, "token.toml"), `[http]\ntoken_file = "${join(folder, "token")}"\n`);
  const guarded = await Sensor.start({ folder, config: join(folder, "token.toml") });
  const tab = await openTab(browser, guarded);
  await tab.getByRole("dialog").waitFor();
  await tab.getByRole("textbox", { name: "Token" }).fill("let-me-in-0123456789-0123456789-abcdef");
  await tab.getByRole("button", { name: "Show it" }).click();
  await tab.locator(".connection", { hasText: "live" }).waitFor();
  await tab.locator(".health", { hasText: "healthy" }).waitFor();
  await tab.waitForFunction(() => /[1-9]/.test(document.querySelector(".tile strong")?.textContent ?? ""));
  await closeTab(tab);
  await guarded.stop();
});
