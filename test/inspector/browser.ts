import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { chromium, type Browser, type Page } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

function chromiumPath(): string {
  const path = process.env["CHROMIUM"] ?? PLACES.find((place) => existsSync(place));
  if (path === undefined) {
    throw new Error("these tests need Chromium: apt-get install chromium, or set CHROMIUM to its path");
  }
  return path;
}

/** A headless browser, and a folder for the pages that it opens. */
export class Chromium {
  readonly folder = mkdtempSync(join(tmpdir(), "kvraft-pages-"));
  readonly #browser: Browser;
  #count = 0;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<Chromium> {
    const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
    const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", ...quiet];
    return new Chromium(await chromium.launch({ executablePath: chromiumPath(), headless: true, args }));
  }

  /** Opens a page from a file. What it writes to the console as an error, and whatever it asks the network for, is kept. */
  async open(html: string, hash = ""): Promise<{ page: Page; errors: string[]; requests: string[] }> {
    const file = join(this.folder, `${++this.#count}.html`);
    writeFileSync(file, html);
    const page = await this.#browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: "dark" });
    const errors: string[] = [];
    const requests: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("request", (request) => requests.push(request.url()));
    const url = pathToFileURL(file).href;
    await page.goto(url + hash);
    return { page, errors, requests: requests.filter((request) => request !== url + hash) };
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    rmSync(this.folder, { recursive: true });
  }
}
