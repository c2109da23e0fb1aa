// A real sensor on generated traffic, and a real browser that looks at it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const PROGRAM = process.env["PHANTOMNET_PROGRAM"] ?? "phantomnet";
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** `phantomnet demo` with its own folder. */
export class Sensor {
  static async start({ listen = "127.0.0.1:0", folder = null, speed = "x5", config = null } = {}) {
    const sensor = new Sensor();
    sensor.folder = folder ?? (await mkdtemp(join(tmpdir(), "phantomnet-browser-")));
    const more = config === null ? [] : ["--config", config];
    sensor.child = spawn(PROGRAM, ["demo", "--listen", listen, "--folder", sensor.folder, "--speed", speed, ...more], { stdio: ["ignore", "pipe", "pipe"] });
    sensor.said = [];
    sensor.url = await new Promise((resolve, reject) => {
      const fail = (why) => {
        sensor.child.kill("SIGKILL");
        reject(new Error(`${why}: ${sensor.said.join("\n")}`));
      };
      const patience = setTimeout(() => fail("no address within 20 s"), 20_000);
      const look = (line) => {
        sensor.said.push(line);
        const found = /http:\/\/[0-9.]+:\d+/.exec(line);
        if (found) {
          clearTimeout(patience);
          resolve(found[0]);
        }
      };
      createInterface({ input: sensor.child.stdout }).on("line", look);
      createInterface({ input: sensor.child.stderr }).on("line", (line) => sensor.said.push(line));
      sensor.child.on("exit", (code) => fail(`the sensor ended with ${code}`));
    });
    return sensor;
  }

  async get(path) {
    const response = await fetch(this.url + path);
    assert.ok(response.ok, `${path}: ${response.status}`);
    return response.json();
  }

  /** Waits until the sensor has something to show. */
  async until(path, holds, seconds = 30) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const answer = await this.get(path);
      if (holds(answer)) return answer;
      assert.ok(Date.now() < end, `${path} still says ${JSON.stringify(answer).slice(0, 400)}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  async stop({ keep = false } = {}) {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, "exit");
      this.child.kill("SIGTERM");
      await ended;
    }
    if (!keep) await rm(this.folder, { recursive: true, force: true });
  }
}

export async function startBrowser() {
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A tab that remembers what went wrong in it. */
export async function openTab(browser, sensor, { width = 1280, height = 900, theme = "dark", path = "/" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, acceptDownloads: true });
  const tab = await context.newPage();
  tab.faults = [];
  tab.on("console", (message) => message.type() === "error" && tab.faults.push(`${message.text()} (${message.location().url})`));
  tab.on("pageerror", (error) => tab.faults.push(String(error)));
  await tab.goto(sensor.url + path);
  return tab;
}

export async function closeTab(tab) {
  await tab.context().close();
}

/** Rules of WCAG 2, levels A and AA. */
export async function accessibilityFaults(tab) {
  // The page's own policy forbids scripts from elsewhere; the browser's driver is not bound by it.
  const found = await tab.evaluate(`${axe}; axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] })`);
  return found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(" | ")}`);
}
