// What every journey has: the running program, a slow or broken line to it, and browsers that complain aloud.
//
// A journey is a test in journeys/*.mjs:
//
//   import { journey } from "../harness.mjs";
//   journey("a nurse signs in", { device: "phone", lang: "en", script: false }, async ({ page, server, line }) => {
//     await page.goto(`${line.url}/staff`);
//     …
//   });
//
// `page` is Playwright's, in Debian's Chromium. The journey fails by itself on anything that breaks the content
// security policy, any error in the console and any exception of a page; what it brings about on purpose it names in
// `expected`. `accessible(page)` looks with axe for barriers. One server runs for a file of journeys, so that a journey
// counts only people whom it has named itself: `server.people("Ana Ruiz")`.
//
// One file alone, in a second or two: PADRON_PROGRAM=target/debug/padron NODE_READERS=$HOME/.cache/padron/tools/node \
//   node --test --test-name-pattern 'nurse' tests/e2e/journeys/staff.mjs

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import test, { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const packages = process.env.NODE_READERS ?? `${os.homedir()}/.cache/padron/tools/node`;
const load = createRequire(`${packages}/package.json`);
const { chromium } = load("playwright-core");
const puppeteer = load("puppeteer-core");
const axe = fs.readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");

const program = path.resolve(process.env.PADRON_PROGRAM ?? "target/debug/padron");

/** Milliseconds that anything may take before a journey gives up. */
const PATIENCE = 20_000;

// ---------------------------------------------------------------------------------------------------- the program

/** The running program in a folder of its own; killed when the file of journeys ends. */
export class Server {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "padron-journey-"));
  port = 0;
  /** @type {import("node:child_process").ChildProcess} */
  process;

  constructor(settings = {}) {
    this.settings = settings;
  }

  /** Starts it, or starts it again with what it has stored. */
  async start() {
    const [listen, ops] = await Promise.all([freePort(), freePort()]);
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("PADRON_"));
    const errors = fs.openSync(path.join(this.folder, "stderr"), "a");
    this.port = listen;
    this.process = spawn(program, ["--listen", `127.0.0.1:${listen}`, "--ops-listen", `127.0.0.1:${ops}`], {
      cwd: this.folder,
      env: { ...Object.fromEntries(inherited), PADRON_POST_RATE: "0", ...this.settings },
      stdio: ["ignore", "ignore", errors],
    });
    fs.closeSync(errors);
    await until("a ready server", async () => {
      assert.equal(this.process.exitCode, null, fs.readFileSync(path.join(this.folder, "stderr"), "utf8"));
      return (await fetch(`${this.url}/readyz`).catch(() => undefined))?.ok;
    });
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** `SIGKILL`, `SIGSTOP`, `SIGCONT`, `SIGTERM`. */
  signal(name) {
    this.process.kill(name);
  }

  /** Ends it at once. */
  async kill() {
    const gone = once(this.process, "exit");
    this.signal("SIGKILL");
    await gone;
  }

  /** Ends it and removes what it has stored. */
  remove() {
    this.signal("SIGKILL");
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  /** The staff's first secret. */
  get token() {
    return fs.readFileSync(path.join(this.folder, "data/admin-token"), "utf8").trim();
  }

  /** The references of the registrations that bear this name, by the report. */
  async people(name) {
    const answer = await fetch(`${this.url}/report.csv`, { headers: { Authorization: `Bearer ${this.token}` } });
    assert.equal(answer.status, 200);
    const lines = (await answer.text()).split("\n").filter((line) => line.includes(name));
    return lines.map((line) => line.match(/\b[0-9A-Z]{4}-[0-9A-Z]{4}\b/)?.[0]).filter(Boolean);
  }

  /** The stored photo of a registration. */
  async photo(reference) {
    const headers = { Authorization: `Bearer ${this.token}` };
    const answer = await fetch(`${this.url}/registrations/${reference}/photo`, { headers });
    assert.equal(answer.status, 200);
    return Buffer.from(await answer.arrayBuffer());
  }
}

async function freePort() {
  const listener = net.createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = /** @type {net.AddressInfo} */ (listener.address());
  listener.close();
  return port;
}

/** Waits until `look` gives something. */
export async function until(what, look) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(30)) {
    const seen = await look();
    if (seen) return seen;
  }
  assert.fail(`waited in vain for ${what}`);
}

// ------------------------------------------------------------------------------------------------------- the line

/** Cuts a connection. Node never closes one that is reset while it ends, and then spins when the process exits. */
const reset = (socket) => (socket.writableEnded ? socket.destroy() : socket.resetAndDestroy());

/**
 * A connection to the server that can be slow, cut, or away. Its address stays while the server comes and goes, and
 * it counts bytes.
 */
export class Line {
  /** Bytes a second each way; 0 is as fast as it goes. */
  rate = 0;
  /** Milliseconds each way. */
  latency = 0;
  /** Refuses whoever comes, and cuts whoever is here. */
  #away = false;
  /** Bytes from the browser after which its connection is cut, once. */
  cutAfter = Infinity;
  /** Answers to a POST that are swallowed: the server has it, and the browser never hears of it. */
  swallowed = 0;
  /** Bytes that went to the server and to the browser, and requests with their bodies' announced lengths. */
  sent = 0;
  received = 0;
  /** @type {string[]} */
  requests = [];
  /** What the browser wrote on connections after a POST began there. @type {Buffer[]} */
  posted = [];
  #sockets = new Set();
  /** When each way is free for the next piece. */
  #free = { up: 0, down: 0 };

  constructor(server) {
    this.server = server;
  }

  async open() {
    this.listener = net.createServer((browser) => this.#carry(browser)).listen(0, "127.0.0.1");
    await once(this.listener, "listening");
    return this;
  }

  /** By a name for which browsers allow workers and encryption without TLS. */
  get url() {
    return `http://localhost:${/** @type {net.AddressInfo} */ (this.listener.address()).port}`;
  }

  get away() {
    return this.#away;
  }

  set away(away) {
    this.#away = away;
    if (away) this.cut();
  }

  /** Cuts every connection. */
  cut() {
    for (const socket of this.#sockets) reset(socket);
  }

  /** Begins to count anew. */
  reset() {
    this.sent = this.received = 0;
    this.requests = [];
    this.posted = [];
  }

  close() {
    this.listener?.close();
    this.cut();
  }

  /** Requests to send a form. */
  get posts() {
    return this.requests.filter((line) => line.startsWith("POST /registrations"));
  }

  #carry(browser) {
    if (this.#away) return reset(browser);
    const server = net.connect(this.server.port, "127.0.0.1");
    let isPost = false;
    for (const socket of [browser, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => {}).on("close", () => {
        this.#sockets.delete(socket);
        browser.destroy();
        server.destroy();
      });
    }
    this.#pass("up", browser, server, (bytes) => {
      const head = bytes.toString("latin1", 0, 200).match(/^([A-Z]+ \S+) HTTP\/1.1\r\n/);
      if (head) {
        this.requests.push(head[1]);
        isPost = head[1].startsWith("POST");
      }
      if (isPost) this.posted.push(bytes);
      this.sent += bytes.length;
      if (this.sent > this.cutAfter) {
        this.cutAfter = Infinity;
        reset(browser);
      }
    });
    this.#pass("down", server, browser, (bytes) => {
      if (isPost && this.swallowed > 0) {
        this.swallowed--;
        reset(browser);
      }
      this.received += bytes.length;
    });
  }

  /** Passes bytes on in pieces, each after its time on the line. */
  async #pass(way, from, to, count) {
    const later = (act) => (this.latency ? setTimeout(act, this.latency) : act());
    try {
      for await (const bytes of from) {
        for (let at = 0; at < bytes.length; at += 4096) {
          const piece = bytes.subarray(at, at + 4096);
          count(piece);
          if (this.rate) {
            this.#free[way] = Math.max(this.#free[way], Date.now()) + (piece.length / this.rate) * 1000;
            await sleep(this.#free[way] - Date.now());
          }
          later(() => to.writable && to.write(piece));
        }
        // What is not taken is not read.
        if (to.writableNeedDrain) await Promise.race([once(to, "drain"), once(to, "close")]);
      }
      later(() => to.end());
    } catch {
      // It was cut.
    }
  }
}

// ---------------------------------------------------------------------------------------------------- the browser

export const DEVICES = {
  phone: { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true },
  desk: { viewport: { width: 1366, height: 768 } },
};

const browsers = new Map();

/** Debian's Chromium, once for each way to start it. */
async function browser(backForwardCache) {
  if (!browsers.has(backForwardCache)) {
    const launch = chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-quic"],
      ignoreDefaultArgs: backForwardCache ? ["--disable-back-forward-cache"] : [],
    });
    browsers.set(backForwardCache, launch);
  }
  return browsers.get(backForwardCache);
}

/** Collects what a page complains about. */
function listen(context, expected) {
  const complaints = [];
  const complain = (text) => expected.some((known) => known.test(text)) || complaints.push(text);
  context.on("console", (message) => {
    if (message.type() === "error" || /Content.Security.Policy/i.test(message.text())) {
      complain(`${message.text()} (${message.location().url})`);
    }
  });
  context.on("weberror", (fault) => complain(String(fault.error())));
  return complaints;
}

/** A picture of the whole page in the folder `PADRON_SCREENS`, if that is set. */
export async function picture(page, name) {
  if (process.env.PADRON_SCREENS) await page.screenshot({ path: `${process.env.PADRON_SCREENS}/${name}.png`, fullPage: true });
}

/** What Chromium writes into the console when a request fails or is refused. */
export const FAILED_REQUEST = /^Failed to load resource/;

/**
 * A test in a browser.
 *
 * @param {string} name a sentence
 * @param {object} options
 * @param {"phone" | "desk"} [options.device] 320 px by default
 * @param {"es" | "en"} [options.lang] what the browser asks for
 * @param {boolean} [options.script] whether pages may run scripts
 * @param {"light" | "dark"} [options.scheme]
 * @param {boolean} [options.backForwardCache] whether the browser keeps pages for Back
 * @param {RegExp[]} [options.expected] complaints that belong to the journey
 * @param {(on: { page: any, context: any, server: Server, line: Line }) => Promise<void>} act
 */
export function journey(name, options, act) {
  const { device = "phone", lang = "es", script = true, scheme = "light", backForwardCache = false, expected = [] } = options;
  test(name, { timeout: 120_000 }, async () => {
    const server = await shared();
    const line = await new Line(server).open();
    const chrome = await browser(backForwardCache);
    const context = await chrome.newContext({
      ...DEVICES[device],
      locale: lang === "es" ? "es-CO" : "en-US",
      javaScriptEnabled: script,
      colorScheme: scheme,
      // A person's browser has them without asking.
      permissions: ["clipboard-read", "clipboard-write", "background-sync"],
    });
    context.setDefaultTimeout(PATIENCE);
    const complaints = listen(context, expected);
    try {
      const page = await context.newPage();
      page.isPlain = !script;
      await act({ page, context, server, line });
      assert.deepEqual(complaints, [], "the browser complained");
    } catch (error) {
      if (complaints.length) error.message += `\nthe browser complained: ${complaints.join("\n")}`;
      throw error;
    } finally {
      await Promise.race([context.close(), sleep(5_000)]);
      line.close();
    }
  });
}

/**
 * The same in Debian's Firefox. Its release is too old for Playwright, whose WebDriver BiDi asks for commands that it
 * lacks, so `page` is Puppeteer's here, over WebDriver BiDi as well. Back is `back(page)`.
 */
export function journeyInFirefox(name, { lang = "es", expected = [], preferences = {} }, act) {
  test(`${name} (Firefox)`, { timeout: 120_000 }, async () => {
    const server = await shared();
    const line = await new Line(server).open();
    const firefox = await puppeteer.launch({
      browser: "firefox",
      executablePath: "/usr/bin/firefox",
      extraPrefsFirefox: { "intl.accept_languages": lang === "es" ? "es-CO, es" : "en-US, en", ...preferences },
    });
    const complaints = [];
    const complain = (text) => expected.some((known) => known.test(text)) || complaints.push(text);
    try {
      const page = await firefox.newPage();
      page.setDefaultTimeout(PATIENCE);
      page.on("console", (message) => message.type() === "error" && complain(message.text()));
      page.on("pageerror", (error) => complain(String(error)));
      await act({ page, server, line });
      assert.deepEqual(complaints, [], "the browser complained");
    } finally {
      await firefox.close();
      line.close();
    }
  });
}

/** Back, to an address that `pattern` knows. Puppeteer's own waits for a load that a kept page has not. */
export async function back(page, pattern) {
  await page.evaluate(() => history.back());
  await until(`Back to ${pattern}`, async () => pattern.test(page.url()));
  await until("the page", () => page.evaluate(() => document.readyState === "complete").catch(() => false));
}

/** @type {Promise<Server> | undefined} */
let running;
/** The server of this file of journeys. */
export function shared(settings) {
  running ??= new Server(settings).start();
  return running;
}

/** Fails where axe finds a barrier in the page as it is now. */
export async function accessible(page, where = page.url()) {
  // axe needs timers: it looks at a copy where the page itself runs no scripts.
  const copy = page.isPlain ? await copyOf(page) : page;
  await copy.evaluate(axe);
  const { violations } = await copy.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  if (copy !== page) await copy.context().close();
  const barriers = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  assert.deepEqual(barriers, [], `axe at ${where}`);
}

async function copyOf(page) {
  const body = await page.content();
  const context = await page.context().browser().newContext({ viewport: page.viewportSize() });
  const copy = await context.newPage();
  await copy.route("**/*.js", (route) => route.abort());
  await copy.route(page.url(), (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body }));
  await copy.goto(page.url());
  return copy;
}

/** Fails where a page is wider than the screen. */
export async function fits(page) {
  // A phone zooms out until the page fits, and `innerWidth` grows with it.
  const screen = page.viewportSize().width;
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= screen, `${page.url()} is ${width} px wide on ${screen} px`);
}

after(async () => {
  // A page that asks whether it may be left would keep its browser, and that this process.
  setTimeout(() => process.exit(1), 10_000).unref();
  await Promise.race([Promise.all([...browsers.values()].map(async (launched) => (await launched).close())), sleep(5_000)]);
  (await running?.catch(() => undefined))?.remove();
});
