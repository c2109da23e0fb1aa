// What a tab takes of the sensor, and what it leaves to its reader.
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { Sensor, accessibilityFaults, closeTab, openTab, startBrowser } from "./harness.js";

let browser;
let sensor;

before(async () => {
  [sensor, browser] = await Promise.all([Sensor.start(), startBrowser()]);
});

after(async () => {
  await browser?.close();
  await sensor?.stop();
});

/** Waits until so many streams are read. */
async function streams(wanted) {
  const end = Date.now() + 10_000;
  for (;;) {
    const page = await (await fetch(`${sensor.url}/metrics`)).text();
    const clients = Number(/^phantomnet_stream_clients (\d+)/m.exec(page)[1]);
    if (clients === wanted) return;
    assert.ok(Date.now() < end, `${clients} streams, not ${wanted}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

it("a tab reads one stream, whatever it shows", async () => {
  const tab = await openTab(browser, sensor);
  await tab.locator(".connection", { hasText: "live" }).waitFor();
  await streams(1);
  await tab.goto(`${sensor.url}/#/events?live=1`);
  await tab.getByText(/came while following/).waitFor();
  await streams(1);
  await tab.getByLabel("Follow live").click();
  await tab.getByRole("button", { name: "Show" }).click();
  await streams(1);
  await tab.goto(`${sensor.url}/#/system`);
  await tab.getByRole("region", { name: "Writer and spool" }).waitFor();
  await streams(1);
  assert.deepEqual(tab.faults, []);
  await closeTab(tab);
});

it("a tab that nobody sees reads none, and catches up when it is seen again", async () => {
  const context = await browser.newContext();
  await context.clock.install();
  const tab = await context.newPage();
  await tab.goto(`${sensor.url}/#/events?live=1`);
  await tab.getByText(/came while following/).waitFor();
  const see = (isHidden) =>
    tab.evaluate((isHidden) => {
      Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
  await see(true);
  await tab.clock.fastForward(61_000);
  await tab.locator(".connection", { hasText: "at rest" }).waitFor();
  await streams(0);
  const { events: before } = (await sensor.get("/api/accounting")).collector;
  await sensor.until("/api/accounting", ({ collector }) => collector.events > before + 5);
  await see(false);
  await tab.locator(".connection", { hasText: "live" }).waitFor();
  await streams(1);
  const { events: emitted } = (await sensor.get("/api/accounting")).collector;
  const numbers = () => tab.locator("table.events tbody tr").evaluateAll((rows) => rows.map((row) => Number(row.dataset.id.split("-")[1])));
  const end = Date.now() + 15_000;
  let shown = await numbers();
  while (Math.max(...shown) < emitted) {
    assert.ok(Date.now() < end, `${Math.max(...shown)} of ${emitted}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    shown = await numbers();
  }
  assert.equal(new Set(shown).size, shown.length, "no event is shown twice");
  // What came while it was hidden is there without gaps, or the page says that it is not.
  const sinceThen = shown.filter((number) => number > before);
  const isWhole = Math.max(...sinceThen) - Math.min(...sinceThen) + 1 === sinceThen.length;
  const saysGap = (await tab.locator("main").textContent()).includes("More came than this page could take");
  assert.ok(isWhole || saysGap, `${shown}`);
  await context.close();
});

it("what is marked stays marked, and the page says that it holds still", async () => {
  const tab = await openTab(browser, sensor, { path: "/#/system" });
  const panel = tab.getByRole("region", { name: "Writer and spool" });
  await panel.waitFor();
  await panel.locator("dd").first().selectText();
  const marked = await tab.evaluate(() => getSelection().toString());
  assert.notEqual(marked, "");
  await tab.locator(".connection", { hasText: "held while text is marked" }).waitFor();
  await tab.waitForTimeout(5_000);
  assert.equal(await tab.evaluate(() => getSelection().toString()), marked);
  const committed = panel.locator("dt", { hasText: /^Committed$/ }).locator("xpath=../dd");
  const held = await committed.textContent();
  await tab.evaluate(() => getSelection().removeAllRanges());
  await tab.locator(".connection", { hasText: "live" }).waitFor();
  await tab.waitForFunction((text) => !document.querySelector("main").textContent.includes(text), held, { timeout: 15_000 });
  await closeTab(tab);
});

it("single keys can be turned off, and stay off", async () => {
  const tab = await openTab(browser, sensor);
  await tab.getByRole("button", { name: "Keys" }).click();
  const dialog = tab.getByRole("dialog", { name: "Keys" });
  assert.deepEqual(await accessibilityFaults(tab), []);
  await dialog.getByLabel("Single keys do something").uncheck();
  await dialog.getByRole("button", { name: "Close" }).click();
  await tab.keyboard.press("2");
  assert.match(tab.url(), /(\/|#\/overview)$/);
  await tab.reload();
  await tab.keyboard.press("2");
  assert.match(tab.url(), /(\/|#\/overview)$/);
  await tab.getByRole("button", { name: "Keys" }).click();
  await dialog.getByLabel("Single keys do something").check();
  await dialog.getByRole("button", { name: "Close" }).click();
  await tab.keyboard.press("2");
  await tab.waitForFunction(() => location.hash === "#/events");
  await closeTab(tab);
});

it("the configuration in force is shown, what somebody has said first", async () => {
  const tab = await openTab(browser, sensor, { path: "/#/system" });
  const panel = tab.getByRole("region", { name: "Configuration in force" });
  await panel.getByRole("row", { name: /http\.listen .* command line/ }).waitFor();
  assert.equal(await panel.getByRole("row", { name: /policy\.weights/ }).count(), 0);
  await panel.getByRole("searchbox").fill("policy.weights");
  await panel.getByRole("row", { name: /policy\.weights\.intel 0\.5 default/ }).waitFor();
  assert.equal(await panel.locator("tbody tr").count(), 3);
  await closeTab(tab);
});
