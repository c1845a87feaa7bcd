// The city: a combobox with a list (the pattern of WAI-ARIA's Authoring Practices), filled by the search of the
// catalogue, which forgives typing errors. It decides before sending what the server would decide.

import { make, texts } from "./page.js";

/** Milliseconds without a key before the catalogue is asked. */
const PAUSE = 200;

/** @typedef {{ code: string, name: string, department: string }} City */

/** As people read it, and as the server takes it. @param {City} city */
const full = ({ name, department }) => `${name}, ${department}`;

/** Without accents and case. @param {string} text */
const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/[\s.,]+/g, " ").trim();

/** @param {string} typed @param {AbortSignal} [signal] @returns {Promise<City[]>} */
async function search(typed, signal) {
  const answer = await fetch(`/cities?q=${encodeURIComponent(typed)}`, { signal });
  if (!answer.ok) throw new Error("no answer");
  return (await answer.json()).cities;
}

/**
 * Turns the plain field into a combobox.
 *
 * @param {HTMLInputElement} input
 * @returns {{ settle: () => Promise<string | undefined> }} settles which city is meant; the name of a sentence if none is
 */
export function combobox(input) {
  const list = make("ul", { role: "listbox", id: "city-list", class: "options", "aria-label": texts.form_city });
  const count = make("p", { class: "unseen", role: "status" });
  const place = make("div", { class: "combobox" });
  list.hidden = true;
  input.removeAttribute("list");
  document.getElementById("cities")?.remove();
  const attributes = {
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "city-list", autocomplete: "off",
  };
  for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);
  const hadFocus = document.activeElement === input;
  input.before(place);
  place.append(input, list, count);
  if (hadFocus) input.focus();

  /** What the list shows. @type {City[]} */
  let cities = [];
  /** Which of them is marked; -1 is none. */
  let marked = -1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asking = new AbortController();

  /** @param {number} index */
  function mark(index) {
    marked = index;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    const option = list.children[index];
    option?.scrollIntoView({ block: "nearest" });
    if (option) input.setAttribute("aria-activedescendant", option.id);
    else input.removeAttribute("aria-activedescendant");
  }

  function close() {
    clearTimeout(timer);
    asking.abort();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    mark(-1);
  }

  /** @param {City} city */
  function choose(city) {
    close();
    input.value = full(city);
    count.textContent = "";
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** @param {City[]} found */
  function show(found) {
    cities = found;
    list.replaceChildren(...found.map((city, at) => make("li", { role: "option", id: `city-option-${at}`, "aria-selected": "false",
      // Before the field loses the focus.
      onpointerdown: (event) => event.preventDefault(), onclick: () => choose(city) }, full(city))));
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
    mark(-1);
    count.textContent = found.length ? `${texts.script_city_found} ${found.length}` : texts.script_city_none;
  }

  async function ask() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const typed = input.value.trim();
    if (typed.length < 2) return close();
    try {
      const found = await search(typed, signal);
      if (!signal.aborted) show(found);
    } catch {
      // Typing goes on; the server decides.
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  input.addEventListener("blur", close);
  input.addEventListener("focus", () => {
    // Those of several that have the name.
    if (input.getAttribute("aria-invalid") && cities.length) show(cities);
  });
  input.addEventListener("keydown", (event) => {
    const open = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return void ask();
      const step = event.key === "ArrowDown" ? 1 : -1;
      // Behind the last comes the field itself, and then the first again.
      const places = cities.length + 1;
      mark(((marked + 1 + step + places) % places) - 1);
    } else if (event.key === "Enter" && open && marked >= 0) {
      event.preventDefault();
      choose(cities[marked]);
    } else if (event.key === "Tab" && open && marked >= 0) {
      choose(cities[marked]);
    } else if (event.key === "Escape") {
      if (open) close();
      else input.value = "";
    }
  });

  return {
    async settle() {
      const typed = input.value.trim();
      if (!typed) return "error_city_required";
      /** @type {City[]} */
      let found;
      try {
        found = await search(typed);
      } catch {
        return undefined;
      }
      const named = (/** @type {(city: City) => string} */ by) => found.filter((city) => folded(by(city)) === folded(typed));
      const [whole, same] = [named(full), named((city) => city.name)];
      const meant = whole.length ? whole : same.length ? same : found;
      if (meant.length === 0) return "error_city_unknown";
      if (meant.length === 1) {
        input.value = full(meant[0]);
        return undefined;
      }
      cities = meant;
      return "error_city_ambiguous";
    },
  };
}
