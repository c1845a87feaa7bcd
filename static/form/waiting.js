// The forms that wait on this device, for the person who left them here: each can be sent, corrected or erased.

import { addressOf, button, lang, make, texts } from "./page.js";
import * as outbox from "./outbox.js";

/** Milliseconds between attempts while the page is open. */
const EVERY = 15_000;

/** The list above the form, or instead of it. */
export class WaitingList {
  element = make("section", { class: "waiting", "aria-labelledby": "waiting-title" });
  #title = make("div", {});
  #told = make("p", { role: "status" });
  #items = make("ul", {});
  #another = make("p", { class: "actions" });
  #isBusy = false;

  /** @param {{ delivered: (waiting: import("./outbox.js").Waiting) => void, correct: (id: string) => void, another: () => void, empty: () => void }} on */
  constructor(on) {
    this.on = on;
    this.element.hidden = true;
    this.#another.append(button(texts.registered_another, () => on.another(), "second"));
    this.element.append(this.#title, this.#told, this.#items, this.#another);
    this.standAlone(false);
    addEventListener("online", () => this.send());
    setInterval(() => !document.hidden && !this.element.hidden && this.send(), EVERY);
    // A worker may have delivered meanwhile.
    document.addEventListener("visibilitychange", () => !document.hidden && this.show());
  }

  /** Whether it is the whole page, and not beside the form. @param {boolean} on */
  standAlone(on) {
    this.#title.replaceChildren(make(on ? "h1" : "h2", { id: "waiting-title" }, texts.script_waiting_title));
    this.#another.hidden = !on;
  }

  /** Keeps a form here, and asks the browser to send it when it can. @param {import("./send.js").Form} form @param {"network" | "server"} away */
  async keep(form, away) {
    await outbox.keep(form, lang);
    const registration = await navigator.serviceWorker?.getRegistration("/assets/");
    const sync = /** @type {any} */ (registration)?.sync;
    const isSynced = sync && (await sync.register("outbox").then(() => true, () => false));
    this.say([away === "network" ? texts.script_waiting_network : texts.script_waiting_server,
      isSynced ? texts.script_waiting_close : texts.script_waiting_open].join(" "));
    await this.show();
  }

  /** @param {string} sentence */
  say(sentence) {
    this.#told.textContent = sentence;
  }

  /** Sends what waits, and shows what is left. */
  async send() {
    if (this.#isBusy || !outbox.canKeep()) return;
    this.#isBusy = true;
    try {
      await outbox.deliver();
      await this.show();
    } finally {
      this.#isBusy = false;
    }
  }

  async show() {
    const waiting = outbox.canKeep() ? await outbox.list() : [];
    remember(waiting.length > 0);
    this.#items.replaceChildren(...waiting.map((one) => this.#item(one)));
    this.element.hidden = waiting.length === 0;
    if (!waiting.length) this.on.empty();
    for (const one of waiting) if (one.reference) this.on.delivered(one);
  }

  /** @param {import("./outbox.js").Waiting} one */
  #item({ id, at, reference, problem }) {
    const forget = async () => {
      await outbox.erase(id);
      this.say(reference ? "" : texts.script_waiting_erased);
      await this.show();
    };
    const erase = () => void (confirm(texts.script_waiting_confirm) && forget());
    const time = new Date(at).toLocaleString(lang === "es" ? "es-CO" : "en", { dateStyle: "short", timeStyle: "short" });
    if (reference) {
      return make("li", {}, `${texts.registered_title}: `, make("a", { href: addressOf(reference) }, reference), " ",
        button(texts.script_waiting_hide, forget, "second"));
    }
    const state = problem ? texts.script_waiting_refused : texts.script_waiting_state;
    const act = problem ? button(texts.script_waiting_correct, () => this.on.correct(id))
      : button(texts.script_waiting_send, () => this.send());
    return make("li", {}, `${state} ${time} `, make("span", { class: "actions" }, act, button(texts.script_waiting_erase, erase, "second")));
  }
}

/** A mark by which the form's first script knows that there is something to show. @param {boolean} isKept */
function remember(isKept) {
  try {
    if (isKept) localStorage.setItem("outbox", "1");
    else localStorage.removeItem("outbox");
  } catch {
    // Then it is shown when the form is touched.
  }
}
