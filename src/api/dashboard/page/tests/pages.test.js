// What people do with the dashboard, done by a browser.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { PROGRAM, Sensor, accessibilityFaults, closeTab, openTab, startBrowser } from "./harness.js";

const PAGES = [
  ["#/overview", "Latest alerts"],
  ["#/events", "events shown"],
  ["#/incidents", "Triage"],
  ["#/sources", "Last seen"],
  ["#/model", "Calibration"],
  ["#/system", "The way of a packet"],
];

let sensor;
let browser;

before(async () => {
  [sensor, browser] = await Promise.all([Sensor.start(), startBrowser()]);
  await sensor.until("/api/incidents?limit=1", ({ incidents }) => incidents.length > 0, 60);
  await sensor.until("/api/events?verdict=HIGH,CRITICAL&limit=1", ({ events }) => events.length > 0, 60);
});

after(async () => {
  await browser?.close();
  await sensor?.stop();
});

/** Runs in a tab of its own, in which nothing may go wrong. */
async function inTab(options, call) {
  const tab = await openTab(browser, sensor, options);
  try {
    await call(tab);
    assert.deepEqual(tab.faults, []);
  } finally {
    await closeTab(tab);
  }
}

describe("a newcomer", () => {
  it("sees live traffic", async () => {
    await inTab({}, async (tab) => {
      const rate = tab.locator(".tile", { hasText: "Packets/s" }).locator("strong");
      await tab.waitForFunction(() => /[1-9]/.test(document.querySelector(".tile strong")?.textContent ?? ""));
      const { opened, interactive } = await tab.evaluate(() => ({ opened: performance.now(), interactive: performance.getEntriesByType("navigation")[0].domInteractive }));
      console.log(`interactive after ${Math.round(interactive)} ms, live traffic after ${Math.round(opened)} ms`);
      const first = await rate.textContent();
      await tab.waitForFunction((text) => document.querySelector(".tile strong")?.textContent !== text, first, { timeout: 10_000 });
    });
  });

  it("sees that everything is accounted for", async () => {
    await inTab({}, async (tab) => {
      await tab.locator(".tile", { hasText: "Accounted" }).getByText("100.000000 %").waitFor();
    });
  });

  it("sees who and what stands behind most alerts, as the API counts them", async () => {
    await inTab({}, async (tab) => {
      const { sources, rules } = await sensor.get("/api/top?limit=8");
      const names = async (panel) => tab.getByRole("region", { name: panel, exact: true }).locator("tbody tr td:first-child").allTextContents();
      await tab.getByRole("region", { name: "Top rules", exact: true }).locator("tbody tr").first().waitFor();
      assert.ok(sources.length > 0 && rules.length > 0);
      assert.ok((await names("Top sources")).some((name) => sources.some(({ ip }) => ip === name)));
      assert.ok((await names("Top rules")).some((name) => rules.some(({ message }) => message === name)));
    });
  });

  it("reaches the reason of an alert in two clicks", async () => {
    await inTab({}, async (tab) => {
      await tab.getByRole("region", { name: "Latest alerts" }).locator("tbody a[href^='#/event/']").first().click();
      const why = tab.getByRole("region", { name: "Why", exact: true });
      await why.getByText("model").first().waitFor();
      await why.getByText(/Sum: \d/).waitFor();
      await tab.getByRole("group", { name: "Features", exact: true }).getByText("packet_length").waitFor();
    });
  });
});

describe("every page", () => {
  for (const [path, text] of PAGES) {
    for (const theme of ["dark", "light"]) {
      it(`${path} loads, without an error, and passes axe in the ${theme} theme`, async () => {
        await inTab({ path: `/${path}`, theme }, async (tab) => {
          await tab.getByText(text).first().waitFor();
          await tab.waitForTimeout(1_200);
          assert.deepEqual(await accessibilityFaults(tab), []);
        });
      });
    }

    it(`${path} is as wide as a phone`, async () => {
      await inTab({ path: `/${path}`, width: 390, height: 844 }, async (tab) => {
        await tab.getByText(text).first().waitFor();
        await tab.waitForTimeout(800);
        const [content, window] = await tab.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(content <= window, `${content} pixels of content in a window of ${window}`);
      });
    });
  }
});

describe("events", () => {
  it("are filtered as the API filters them, and the filter is in the address", async () => {
    await inTab({ path: "/#/events" }, async (tab) => {
      await tab.getByLabel("Verdict").selectOption("HIGH,CRITICAL");
      await tab.waitForFunction(() => location.hash.includes("verdict=HIGH%2CCRITICAL"));
      const badges = tab.locator("table.events .verdict");
      await badges.first().waitFor();
      await tab.waitForFunction(() => [...document.querySelectorAll("table.events .verdict")].every(({ textContent }) => ["HIGH", "CRITICAL"].includes(textContent)));
      const address = tab.url();
      const shown = await badges.count();
      assert.ok(shown > 0);
      await inTab({ path: address.slice(sensor.url.length) }, async (another) => {
        await another.locator("table.events .verdict").first().waitFor();
        assert.equal(await another.getByLabel("Verdict").inputValue(), "HIGH,CRITICAL");
      });
    });
  });

  it("say what is wrong with a filter, and whose fault it is", async () => {
    const tab = await openTab(browser, sensor, { path: "/#/events?src_ip=10.0.0.1%2F8" });
    await tab.getByRole("alert").getByText(/src_ip/).waitFor();
    await closeTab(tab);
  });

  it("come by themselves while they are followed, and not while it is paused", async () => {
    await inTab({ path: "/#/events?live=1" }, async (tab) => {
      await tab.getByText(/came while following/).waitFor();
      await tab.keyboard.press("p");
      await tab.waitForTimeout(600);
      const first = await tab.locator("table.events tbody tr").first().getAttribute("data-id");
      await tab.waitForTimeout(1_500);
      assert.equal(await tab.locator("table.events tbody tr").first().getAttribute("data-id"), first);
      await tab.keyboard.press("p");
      await tab.waitForFunction((id) => document.querySelector("table.events tbody tr")?.dataset.id !== id, first);
    });
  });

  it("come once, also where somebody asks twice in a moment", async () => {
    await inTab({ path: "/#/events?live=1" }, async (tab) => {
      const show = tab.getByRole("button", { name: "Show" });
      await Promise.all([show.click(), show.click()]);
      await tab.getByText(/came while following/).waitFor();
      await tab.waitForTimeout(1_500);
      const shown = await tab.locator("table.events tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.id));
      assert.ok(shown.length > 0);
      assert.equal(new Set(shown).size, shown.length);
    });
  });

  it("open by a click on their row, with what was normal for the source, and related ones", async () => {
    await inTab({ path: "/#/events?verdict=HIGH" }, async (tab) => {
      await tab.locator("table.events tbody tr td:first-child").first().click();
      await tab.getByRole("region", { name: "The 15 features, and each one's share of the score" }).getByText(/All \(\d+\)/).waitFor();
      assert.equal(await tab.getByRole("group", { name: "Features", exact: true }).locator("tbody tr").count(), 15);
      await tab.getByText("Related events").first().waitFor();
      await tab.evaluate(() => (navigator.clipboard.writeText = async (text) => void (window.copied = text)));
      await tab.getByRole("button", { name: "Copy the line to explain it" }).click();
      await tab.getByRole("button", { name: "Copied" }).waitFor();
      const [name, ...line] = (await tab.evaluate(() => window.copied)).split(" ");
      assert.equal(name, "phantomnet");
      const explained = execFileSync(PROGRAM, line, { encoding: "utf8" });
      assert.ok(explained.includes(tab.url().split("/").at(-1)) && explained.startsWith("HIGH "), explained);
    });
  });

  it("take what a person says of them, and the sensor keeps it", async () => {
    await inTab({ path: "/#/events?verdict=HIGH" }, async (tab) => {
      await tab.locator("table.events tbody tr td:first-child").first().click();
      await tab.getByRole("button", { name: "A false alarm" }).click();
      await tab.getByText("Said to be benign").waitFor();
      const id = new URL(tab.url()).hash.split("/")[2];
      assert.equal((await sensor.get(`/api/events/${id}`)).label.label, "benign");
    });
  });
});

describe("incidents", () => {
  it("are acknowledged by a key, and closed by a button", async () => {
    await inTab({ path: "/#/incidents" }, async (tab) => {
      const rows = tab.getByRole("group", { name: "Incidents" }).locator("tbody tr");
      await rows.first().waitFor();
      // What the sensor answers to the change: an incident that goes on opens again by itself.
      const changed = () => tab.waitForResponse((response) => response.request().method() === "PATCH").then((response) => response.json());
      await tab.keyboard.press("j");
      const id = await tab.evaluate(() => document.activeElement.dataset.id);
      assert.ok(id);
      const [acknowledged] = await Promise.all([changed(), tab.keyboard.press("a")]);
      assert.deepEqual([acknowledged.id, acknowledged.state], [id, "acknowledged"]);
      await tab.getByLabel("State").selectOption("");
      const [closed] = await Promise.all([changed(), tab.locator(`tr[data-id="${id}"]`).getByRole("button", { name: "Close" }).click()]);
      assert.deepEqual([closed.id, closed.state], [id, "closed"]);
    });
  });

  it("are exported as CSV and as JSON", async () => {
    await inTab({ path: "/#/incidents?state=" }, async (tab) => {
      for (const [kind, holds] of [
        ["CSV", (text) => text.startsWith("id,worst,kind,") && text.includes("\r\n")],
        ["JSON", (text) => JSON.parse(text).length > 0],
      ]) {
        const [download] = await Promise.all([tab.waitForEvent("download"), tab.getByRole("button", { name: `Export ${kind}` }).click()]);
        const chunks = [];
        for await (const chunk of await download.createReadStream()) chunks.push(chunk);
        assert.ok(holds(Buffer.concat(chunks).toString()), kind);
      }
    });
  });
});

describe("sources", () => {
  it("show profile, timeline, sessions and destinations", async () => {
    await inTab({ path: "/#/sources" }, async (tab) => {
      await tab.getByRole("group", { name: "Sources" }).locator("tbody a").first().click();
      for (const name of ["Profile", "Timeline", "Destinations"]) await tab.getByRole("region", { name, exact: true }).waitFor();
      await tab.getByText("Sessions").first().waitFor();
    });
  });
});

describe("the keyboard", () => {
  it("reaches every page by its number, and the content by the first link", async () => {
    await inTab({}, async (tab) => {
      for (const [nth, [path]] of PAGES.entries()) {
        await tab.keyboard.press(String(nth + 1));
        await tab.waitForFunction((hash) => location.hash === hash, path);
      }
      await tab.reload();
      await tab.keyboard.press("Tab");
      await tab.keyboard.press("Enter");
      assert.equal(await tab.evaluate(() => document.activeElement.id), "main");
    });
  });
});

describe("the page", () => {
  it("shows how long every route takes, also those with a name in their address", async () => {
    const { events } = await sensor.get("/api/events?limit=1");
    await sensor.get(`/api/events/${events[0].id}`);
    await inTab({ path: "/#/system" }, async (tab) => {
      await tab.getByText("route /api/events/{id}, method GET").waitFor();
    });
  });

  it("is under 300 KiB compressed, and asks nobody else", async () => {
    const asked = [];
    const context = await browser.newContext();
    const tab = await context.newPage();
    tab.on("request", (request) => asked.push(request.url()));
    await tab.goto(sensor.url);
    await tab.locator(".tile").first().waitFor();
    const sizes = await tab.evaluate(() => performance.getEntries().filter(({ entryType, name }) => entryType === "navigation" || name.includes("/assets/")).map(({ encodedBodySize }) => encodedBodySize));
    assert.ok(sizes.length >= 3, "document, script and style sheet");
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    console.log(`the first page: ${bytes} bytes compressed`);
    assert.ok(bytes > 0 && bytes < 300 * 1024, `${bytes} bytes`);
    assert.deepEqual(asked.filter((url) => !url.startsWith(sensor.url)), []);
    await context.close();
  });

  it("draws what the network says as text, never as markup", async () => {
    await inTab({}, async (tab) => {
      const policy = (await (await fetch(sensor.url)).headers.get("content-security-policy")) ?? "";
      assert.match(policy, /default-src 'self'/);
      assert.doesNotMatch(policy, /unsafe/);
      await tab.route("**/api/incidents*", (route) =>
        route.fulfill({
          json: { next: null, incidents: [{ id: "1-1", worst: "HIGH", kind: "x", title: "<img src=x onerror=\"document.title='broken'\">", role: "source", subject: "10.0.0.1", events: 1, count: 1, time: "2026-01-01T00:00:00Z", last_time: "2026-01-01T00:00:00Z", state: "open", note: "<b>bold</b>", rules: [], worst_event: "1-1", changed_at: null }] },
        }),
      );
      await tab.keyboard.press("3");
      await tab.getByText("<img src=x onerror").waitFor();
      assert.equal(await tab.locator("main img, main b").count(), 0);
    });
  });

  it("says that nothing is there, that it waits, and that something failed", async () => {
    await inTab({}, async (tab) => {
      await tab.route("**/api/sources*", (route) => route.fulfill({ json: { sources: [], next: null } }));
      await tab.keyboard.press("4");
      await tab.getByText("No source is known here.").waitFor();
    });
    const tab = await openTab(browser, sensor);
    await tab.route("**/api/sources*", (route) => route.fulfill({ status: 503, json: { detail: "the store does not answer" } }));
    await tab.keyboard.press("4");
    await tab.getByText("Not available now: the store does not answer.").waitFor();
    await closeTab(tab);
  });
});
