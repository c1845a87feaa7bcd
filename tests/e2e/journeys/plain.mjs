// A citizen without scripts: everything works, and it is sent once.

import assert from "node:assert/strict";

import { FAILED_REQUEST, accessible, fits, journey, until } from "../harness.mjs";
import { fillIn, finishPlainly } from "../people.mjs";

const finish = (page) => finishPlainly(page, async () => {
  await accessible(page);
  await fits(page);
});

for (const [lang, backForwardCache] of [["es", true], ["en", false]]) {
  journey(`the plain form is sent once, although Back leads to it again, ${lang}`, { script: false, lang, backForwardCache, expected: [FAILED_REQUEST] }, async ({ page, server, line }) => {
    const name = `Sin Guiones ${lang}`;
    await page.goto(line.url);
    await fillIn(page, { name });
    const reference = await finish(page);
    await page.goBack();
    await until("a page of padron's", () => page.$("header .brand"));
    if (await page.$("#name")) {
      await fillIn(page, { name });
      assert.equal(await finish(page), reference);
    }
    assert.deepEqual(await server.people(name), [reference]);
  });
}

journey("a fault is told at its field, and what was typed is kept", { script: false, expected: [FAILED_REQUEST] }, async ({ page, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Ana Corrige", city: "La Victoria", email: "ana@ejemplo.com" });
  await page.click("form[method=post] button[type=submit]");
  await page.waitForSelector(".summary");
  await accessible(page);
  await fits(page);
  assert.equal(await page.inputValue("#name"), "Ana Corrige");
  assert.equal(await page.inputValue("#email"), "ana@ejemplo.com");
  assert.ok(await page.isVisible("input[type=radio][name=city]"));
});
