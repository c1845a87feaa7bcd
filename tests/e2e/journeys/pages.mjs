// Every page that a visitor can open, in both languages, schemes and widths, with and without scripts.

import assert from "node:assert/strict";

import { FAILED_REQUEST, accessible, fits, journey, journeyInFirefox } from "../harness.mjs";

const PAGES = [
  ["/", "Foto del documento de identidad", "Photo of the ID card"],
  ["/staff/sign-in", "Entrar", "Sign in"],
  ["/docs", "Para el personal", "For staff"],
  ["/nada", "No encontramos esta página", "We could not find this page"],
];

for (const [device, lang, scheme] of [["phone", "es", "light"], ["desk", "en", "light"], ["phone", "en", "dark"], ["desk", "es", "dark"]]) {
  journey(`no page has a barrier on a ${device}, ${lang}, ${scheme}`, { device, lang, scheme, expected: [FAILED_REQUEST] }, async ({ page, line }) => {
    for (const [address, es, en] of PAGES) {
      await page.goto(`${line.url}${address}`);
      const shown = await page.textContent("main");
      assert.ok(shown.includes(lang === "es" ? es : en), `${address} shows ${shown}`);
      await accessible(page);
      await fits(page);
    }
  });
}

journeyInFirefox("pages are shown and break no rule of their own policy", {}, async ({ page, line }) => {
  for (const [address, es] of PAGES) {
    await page.goto(`${line.url}${address}`);
    const shown = await page.$eval("main", (main) => main.textContent);
    assert.ok(shown.includes(es), `${address} shows ${shown}`);
  }
});
