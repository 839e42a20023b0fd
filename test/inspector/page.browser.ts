/// <reference lib="dom" />
import { readFileSync } from "node:fs";

import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { inspectorHtml, recordPlan, type RecordedRun } from "../../inspector/index.js";
import { drawPlan } from "../../sim/swarm/index.js";
import { Chromium } from "./browser.js";
import { buildPage, buildRecording } from "./bundles.js";
import { longRecord, smallRecord, STALE_READS } from "./records.js";

let chromium: Chromium;
let template: string;
let brokenTemplate: string;
let bad: RecordedRun;

/** The first seed whose run breaks a rule when reads do not wait for the barrier, and has an operation to show for it. */
async function findBadRun(): Promise<RecordedRun> {
  const broken = await buildRecording(STALE_READS);
  for (let seed = 1; seed <= 100; seed++) {
    const run = await broken.recordPlan(drawPlan(seed));
    if (run.record.illegal !== null) return run;
  }
  throw new Error("of 100 seeds none shows a stale read; the load or the mistake has changed");
}

beforeAll(async () => {
  chromium = await Chromium.start();
  template = await buildPage();
  brokenTemplate = await buildPage(STALE_READS);
  bad = await findBadRun();
}, 120_000);
afterAll(() => chromium?.stop());

const place = (page: Page): Promise<number> =>
  page
    .locator("#place")
    .innerText()
    .then((text) => Number(/event ([\d,]+)/.exec(text)?.[1]?.replaceAll(",", "")));
const status = (page: Page): Promise<string | null> => page.locator("#status").textContent();
const details = (page: Page): Promise<string> => page.locator("#details").innerText();

/** Waits until a locator's text matches. */
async function sees(page: Page, selector: string, text: RegExp): Promise<void> {
  await page.locator(selector).filter({ hasText: text }).first().waitFor({ timeout: 30_000 });
}

/** Crashes the leader at a commit. Where a fault of the plan does that very thing, it makes no difference: try the next. */
async function forkByCrash(page: Page): Promise<void> {
  for (let tries = 0; tries < 5; tries++) {
    await page.keyboard.press("c");
    await page.keyboard.press("k");
    await page.getByRole("button", { name: "Crash it" }).click();
    await sees(page, "#compare", /The same up to event \d+|made no difference/);
    if (/The same up to/.test(await page.locator("#compare").innerText())) return;
    await page.locator("#compare .close").click();
  }
  throw new Error("no crash of a leader at one of the first five commits makes a difference");
}

describe("a known-bad run", () => {
  test("opens at the violation, which names the rule, and asks the network for nothing", async () => {
    const { page, errors, requests } = await chromium.open(inspectorHtml(bad.record, brokenTemplate));
    await sees(page, "#verdict", /failed linearizability/);
    const violation = bad.record.events.kind.length;
    expect(await place(page)).toBeGreaterThan(1);
    expect(await place(page)).toBeLessThanOrEqual(violation);
    expect(requests).toEqual([]);
    expect(errors).toEqual([]);
  });

  test("v jumps to the violations, the arrows step, and the address follows", async () => {
    const { page } = await chromium.open(inspectorHtml(bad.record, brokenTemplate));
    await page.keyboard.press("End");
    await page.keyboard.press("Shift+V");
    await expect.poll(() => status(page)).toMatch(/VIOLATION linearizability|returns/);
    const at = await place(page);
    await page.keyboard.press("ArrowLeft");
    await expect.poll(() => place(page)).toBe(at - 1);
    await page.keyboard.press("Shift+ArrowLeft");
    await expect.poll(() => place(page)).toBe(at - 11);
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => place(page)).toBe(at - 10);
    const seq = bad.record.events.seq.slice(0, at - 10).reduce((sum, n) => sum + n, 0);
    await expect.poll(() => page.evaluate("location.hash")).toBe(`#seq=${seq}`);
  });

  test("the illegal operation is shown with the checker's words", async () => {
    const { page } = await chromium.open(inspectorHtml(bad.record, brokenTemplate), "#seq=1");
    expect(await place(page)).toBe(1);
    await page.keyboard.press("v");
    await page.keyboard.press("Enter");
    await sees(page, "#details", /No order of the operations explains this answer/);
    expect(await page.locator(".explanation").innerText()).toContain("explains their outcomes");
    await page.keyboard.press("Escape");
    await expect.poll(() => details(page)).toMatch(/^Event/);
  });

  test("runs again in the page to the same hash; a crash makes a fork, which is compared and saved as a test", async () => {
    const { page, errors } = await chromium.open(inspectorHtml(bad.record, brokenTemplate));
    await page.keyboard.press("k");
    await page.getByRole("button", { name: "Run it again as it was" }).click();
    await sees(page, "#compare", new RegExp(`The same run, hash ${bad.outcome.hash}`));
    await page
      .getByRole("button", { name: "Back to the original" })
      .or(page.locator("#compare .close"))
      .first()
      .click();

    await page.keyboard.press("0");
    await page.keyboard.press("Home");
    await forkByCrash(page);
    expect(await page.locator("#title").innerText()).toMatch(/forked$/);
    const forked = await place(page);
    await page.keyboard.press("t");
    await expect.poll(() => page.locator("#title").innerText()).not.toMatch(/forked$/);
    await page.getByRole("button", { name: "Side by side" }).click();
    await page.getByRole("button", { name: "To the divergence" }).click();
    await expect.poll(() => place(page)).toBe(forked);

    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save test" }).click(),
    ]);
    const text = readFileSync(await download.path(), "utf8");
    expect(text).toContain('import { runPlan, type Plan } from "');
    const plan = JSON.parse(/const plan: Plan = (\{.*?\n\});/s.exec(text)?.[1] ?? "") as { interventions: unknown[] };
    expect(plan.interventions).toHaveLength(1);
    expect(plan).toEqual({ ...drawPlan(bad.outcome.seed), interventions: plan.interventions });
    expect(errors).toEqual([]);
  });
});

describe("any run", () => {
  test("a plan has the same hash in the page as under Node, and a dropped message forks it", async () => {
    const { record, outcome } = await recordPlan(drawPlan(3));
    const { page } = await chromium.open(inspectorHtml(record, template), "#seq=1");
    await page.keyboard.press("k");
    await page.getByRole("button", { name: "Run it again as it was" }).click();
    await sees(page, "#compare", new RegExp(`The same run, hash ${outcome.hash}`));
    await page.locator("#compare .close").click();

    await page.keyboard.press("e");
    await page.keyboard.press("/");
    await page.keyboard.type("appendentries");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Enter");
    await sees(page, "#details", /AppendEntries/);
    await page.keyboard.press("k");
    await page.getByRole("button", { name: "Drop it" }).click();
    await sees(page, "#compare", /drop AppendEntries/);
    await sees(page, "#compare", /The same up to event \d+/);
    const change = /S\d+ → S\d+ \((\d+)\)/.exec(await page.locator("#compare .change").innerText());
    const interventions = [{ seq: Number(change?.[1]), action: { type: "drop" } as const }];
    const { outcome: expected } = await recordPlan({ ...drawPlan(3), interventions });
    await page.locator("#compare").getByRole("button", { name: "To the divergence" }).click();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save test" }).click(),
    ]);
    expect(readFileSync(await download.path(), "utf8")).toContain(`Hash of that run: ${expected.hash}`);
  });

  test("a run of Paxos is told in its own words, and forks as well", async () => {
    const plan = drawPlan(3, "paxos");
    const { record } = await recordPlan(plan);
    const { page, errors } = await chromium.open(inspectorHtml(record, template), "#seq=1");
    await page.keyboard.press("/");
    await page.keyboard.type("accept 1 ballot");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Enter");
    await sees(page, "#details", /S\d → S\d\s+Accept/);
    expect(await details(page)).toMatch(/entries\s+1·t\d+ no-op/);
    await page.keyboard.press("k");
    await page.getByRole("button", { name: "Drop it" }).click();
    await sees(page, "#compare", /drop Accept S\d → S\d/);
    await sees(page, "#compare", /The same up to event \d+/);
    expect(errors).toEqual([]);
  });

  test("a click on an operation shows its causal chain, one on a message its content and fate", async () => {
    const { page } = await chromium.open(inspectorHtml(smallRecord(), template));
    const box = (await page.locator("#timeline").boundingBox())!;
    const x = (ms: number): number => box.x + 64 + ((ms + 1) / 102) * (box.width - 72);
    await page.mouse.click(x(50), box.y + 35);
    await sees(page, "#details", /Client 0: put x "hello"/);
    const stages = await page.locator(".chain li b").allInnerTexts();
    expect([...new Set(stages)]).toEqual(["call", "append", "replicate", "commit", "apply", "reply"]);
    await page.keyboard.press("Home");
    await page.keyboard.press("/");
    await page.keyboard.type("lost s2");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Enter");
    await sees(page, "#details", /S0 → S2\s+AppendEntries/);
    expect(await details(page)).toContain("lost at 0.040 s: loss");
    expect(await details(page)).toContain('put x "hello"');
    // The request of the client, halfway between the two lanes and times.
    await page.keyboard.press("Escape");
    const serverLane = 52 + (box.height - 56) / 6;
    await page.mouse.click(x(15), box.y + (35 + serverLane) / 2);
    await sees(page, "#details", /c0 → S0\s+Request/);
  });

  test("a record without a plan says why it cannot be forked", async () => {
    const { page } = await chromium.open(inspectorHtml(smallRecord(), template));
    await page.keyboard.press("k");
    await sees(page, "#fork", /cannot be forked: its record holds no plan/);
    await page.keyboard.press("Escape");
  });

  test("texts of a record cannot act in the page", async () => {
    const value = '</script><img src=x onerror="window.acted=1"><!-- <b>';
    const { page, errors, requests } = await chromium.open(inspectorHtml(smallRecord(value), template));
    await page.keyboard.press("/");
    await page.keyboard.type("put");
    await page.keyboard.press("Enter");
    expect(await page.evaluate("window.acted")).toBeUndefined();
    expect(await page.locator("img").count()).toBe(0);
    expect(requests).toEqual([]);
    expect(errors).toEqual([]);
  });

  test("200,000 events load fast, and moving through them is smooth", async () => {
    const html = inspectorHtml(longRecord(200_000), template);
    const begin = performance.now();
    const { page } = await chromium.open(html);
    await sees(page, "#place", /of 200,0/);
    const loadMs = performance.now() - begin;
    // What the page itself does for a frame; how long a machine without a graphics card then paints says nothing.
    const frames = (keys: number): Promise<number> =>
      page.evaluate(async (count) => {
        const later = window.requestAnimationFrame.bind(window);
        let drawingMs = 0;
        window.requestAnimationFrame = (draw) =>
          later((at) => {
            const start = performance.now();
            draw(at);
            drawingMs += performance.now() - start;
          });
        for (let i = 0; i < count; i++) {
          const key = i % 3 === 0 ? "c" : i % 3 === 1 ? "]" : "ArrowRight";
          document.dispatchEvent(new KeyboardEvent("keydown", { key }));
          await new Promise((resolve) => void later(resolve));
        }
        window.requestAnimationFrame = later;
        return drawingMs / count;
      }, keys);
    const farMs = await frames(60);
    for (let i = 0; i < 12; i++) await page.keyboard.press("+");
    const nearMs = await frames(60);
    console.log(
      `200,000 events: ${loadMs.toFixed(0)} ms to load, ${farMs.toFixed(1)} and ${nearMs.toFixed(1)} ms of work a frame`,
    );
    expect(loadMs).toBeLessThan(10_000);
    expect(Math.max(farMs, nearMs)).toBeLessThan(100);
  });
});
