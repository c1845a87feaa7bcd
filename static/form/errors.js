// Faults of fields, shown as the server shows them: one summary with links, and each message at its field.

import { make, texts } from "./page.js";

/** @typedef {{ field?: string, message: string }} FieldError */

const title = document.title;

/** Takes every error away. */
export function clearErrors() {
  document.querySelector(".summary")?.remove();
  for (const error of document.querySelectorAll(".error[id$=-error]")) {
    const field = error.id.slice(0, -"-error".length);
    const control = document.getElementById(field);
    control?.removeAttribute("aria-invalid");
    describe(control, error.id, false);
    error.closest(".wrong")?.classList.remove("wrong");
    error.remove();
  }
  document.title = title.replace(`${texts.form_error_prefix} `, "");
}

/** Shows errors instead of those before, and turns to the summary. @param {FieldError[]} errors */
export function showErrors(errors) {
  clearErrors();
  const items = errors.map(({ field, message }) => {
    const control = field ? document.getElementById(field) : null;
    if (!field || !control) return make("li", {}, message);
    const place = control.closest(".field");
    place?.classList.add("wrong");
    control.setAttribute("aria-invalid", "true");
    const error = make("p", { class: "error", id: `${field}-error` }, make("span", {}, texts.form_error_prefix), ` ${message}`);
    const anchor = control.closest(".combobox, .choice") ?? control;
    anchor.before(error);
    describe(control, error.id, true);
    return make("li", {}, make("a", { href: `#${field}`, onclick: (event) => {
      event.preventDefault();
      control.focus();
    } }, message));
  });
  const summary = make("div", { class: "summary", role: "alert", tabindex: "-1" },
    make("h2", {}, texts.form_error_title), make("ul", {}, ...items));
  document.getElementById("main")?.prepend(summary);
  document.title = `${texts.form_error_prefix} ${document.title}`;
  summary.focus({ preventScroll: true });
  summary.scrollIntoView();
}

/** @param {Element | null} control @param {string} id @param {boolean} on */
function describe(control, id, on) {
  const ids = new Set(control?.getAttribute("aria-describedby")?.split(" ").filter(Boolean));
  if (on) ids.add(id);
  else ids.delete(id);
  if (ids.size) control?.setAttribute("aria-describedby", [...ids].join(" "));
  else control?.removeAttribute("aria-describedby");
}
