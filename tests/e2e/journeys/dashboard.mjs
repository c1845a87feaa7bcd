// The staff's dashboard with every city of the country in it: small, searchable, honest, and nothing is lost when a
// session ends.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

import { FAILED_REQUEST, accessible, fits, journey, picture, shared, until } from "../harness.mjs";

const program = path.resolve(process.env.PADRON_PROGRAM ?? "target/debug/padron");

/** The server, with people in all 1,121 cities. */
async function everywhere() {
  const server = await shared();
  if (server.seeded) return server;
  server.seeded = true;
  execFileSync(program, ["seed", "--count", "20000", "--no-photos"], { cwd: server.folder, stdio: "ignore" });
  await fetch(`${server.url}/report.csv`, { headers: { Authorization: `Bearer ${server.token}` } }).then((answer) => answer.text());
  return server;
}

async function signIn(page, server, base, lang) {
  await page.goto(`${base}/staff/sign-in?lang=${lang}`);
  await page.fill("#token", server.token);
  await page.click("main button[type=submit]");
  await page.waitForURL(/\/staff\?/);
}

for (const [device, lang, scheme] of [["desk", "es", "light"], ["desk", "en", "dark"], ["phone", "en", "light"], ["phone", "es", "dark"]]) {
  journey(`the dashboard is short and has no barrier on a ${device}, ${lang}, ${scheme}`, { device, lang, scheme }, async ({ page, line }) => {
    const server = await everywhere();
    await signIn(page, server, line.url, lang);
    for (const address of ["", "&by=department", "&department=05", "&q=barr", "&q=nadie"]) {
      await page.goto(`${line.url}/staff?lang=${lang}${address}`, { waitUntil: "networkidle" });
      await accessible(page, address);
      await fits(page);
    }
    await page.goto(`${line.url}/staff?lang=${lang}`, { waitUntil: "networkidle" });
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    assert.ok(height <= 3000, `${height} px high`);
    await picture(page, `dashboard-${device}-${lang}-${scheme}`);
    assert.equal(await page.locator("#list tbody tr").count(), 50);
    // A picture of the colours asked for, whose letters are 11 pixels or more where it is shown.
    for (const chart of await page.locator("img.chart").all()) {
      const { source, shown } = await chart.evaluate((image) => ({ source: image.currentSrc, shown: image.clientWidth }));
      assert.equal(source.includes("theme=dark"), scheme === "dark", source);
      const svg = await (await fetch(source.replace(/^https?:\/\/[^/]+/, server.url))).text();
      const width = Number(svg.match(/<svg width="(\d+)"/)[1]);
      const letters = [...svg.matchAll(/font-size="([\d.]+)"/g)].map((found) => Number(found[1]));
      assert.ok(Math.min(...letters) * (shown / width) >= 11, `${Math.min(...letters)} of ${width} shown on ${shown}`);
    }
  });
}

journey("without scripts the list is searched, sorted and filtered by its address", { device: "phone", script: false }, async ({ page, line }) => {
  const server = await everywhere();
  await signIn(page, server, line.url, "es");
  await page.fill("#q", "medellin");
  await page.click("#search button");
  await page.waitForLoadState("load");
  assert.deepEqual(await page.locator("#list tbody th").allTextContents(), ["Medellín"]);
  await page.goto(`${line.url}/staff?lang=es`);
  await page.selectOption("#department", "76");
  await page.click("#search button");
  await page.waitForLoadState("load");
  assert.equal(await page.locator("#list tbody th").first().textContent(), "Cali");
  await page.click("#list thead a");
  await page.waitForLoadState("load");
  assert.equal(await page.locator("#list tbody th").first().textContent(), "Alcalá");
  await page.goto(`${line.url}/staff?lang=es`);
  await page.click("#list a[data-list] >> text=Mostrar todas");
  await page.waitForLoadState("load");
  assert.equal(await page.locator("#list tbody tr").count(), 1121);
});

journey("with scripts the list follows what is typed, and the select is narrowed", { device: "desk" }, async ({ page, line }) => {
  const server = await everywhere();
  await signIn(page, server, line.url, "es");
  await page.fill("#q", "bogota");
  await until("one city", async () => (await page.locator("#list tbody tr").count()) === 1);
  assert.ok(await page.evaluate(() => document.activeElement?.id === "q"), "the field keeps the focus");
  await page.fill("#q", "");
  await until("all again", async () => (await page.locator("#list tbody tr").count()) === 50);
  await page.click("#list thead a");
  await until("the alphabet", async () => (await page.locator("#list tbody th").first().textContent())?.startsWith("Abej"));
  await page.fill("#narrow", "san andres de tumaco");
  assert.equal(await page.locator("#city option").count(), 2);
  assert.equal(await page.inputValue("#city"), "52835");
  await accessible(page, "narrowed");
});

journey("a download tells how far it is and its end, and moves the numbers", { device: "desk" }, async ({ page, line }) => {
  const server = await everywhere();
  await signIn(page, server, line.url, "es");
  line.rate = 150_000;
  const saved = page.waitForEvent("download");
  await page.click('a[href="/report.csv?lang=es"]');
  await page.waitForSelector("#download progress");
  await until("bytes", async () => /[kM]B/.test((await page.textContent("#download")) ?? ""));
  await accessible(page, "while it runs");
  line.rate = 0;
  const file = await saved;
  assert.match(file.suggestedFilename(), /^padron-\d{4}-\d\d-\d\d\.csv$/);
  assert.ok(fs.readFileSync(await file.path(), "utf8").trim().split("\n").length > 20_000);
  await until("the end", async () => (await page.textContent("#download"))?.includes("Descarga completa"));
  assert.equal(new URL(page.url()).pathname, "/staff");
});

journey("a download that is cut says so and saves nothing", { device: "phone", expected: [FAILED_REQUEST] }, async ({ page, line }) => {
  const server = await everywhere();
  await signIn(page, server, line.url, "es");
  page.on("download", () => assert.fail("it was saved"));
  line.rate = 100_000;
  await page.click('a[href="/report.xlsx?lang=es"]');
  await until("bytes", async () => /[kM]B/.test((await page.textContent("#download")) ?? ""));
  line.away = true;
  await until("the failure", async () => (await page.textContent("#download"))?.includes("se cortó"));
  line.away = false;
  line.rate = 0;
  await accessible(page, "after a cut");
});

for (const script of [true, false]) {
  journey(`after an expired session the download starts by itself ${script ? "with" : "without"} scripts`, { script, expected: [FAILED_REQUEST] }, async ({ page, context, line }) => {
    const server = await everywhere();
    await signIn(page, server, line.url, "es");
    const [session] = (await context.cookies()).filter((cookie) => cookie.name.includes("padron"));
    await context.addCookies([{ ...session, value: "0".repeat(session.value.length) }]);
    await page.click('a[href="/report.csv?lang=es"]');
    await page.waitForURL(/sign-in/);
    assert.ok((await page.textContent("main"))?.includes("Su sesión venció"));
    await page.fill("#token", server.token);
    const saved = page.waitForEvent("download");
    await page.click("main button[type=submit]");
    const file = await saved;
    assert.match(file.suggestedFilename(), /\.csv$/);
    assert.equal(new URL(page.url()).pathname, "/staff");
    await until("a word about it", async () => /[Dd]escarga/.test((await page.textContent("#download")) ?? ""));
  });
}
