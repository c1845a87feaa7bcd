// The receipt: print it, copy its number, share its address, and register another person with the same city and e-mail.

import { button } from "./page.js";

const place = document.getElementById("keep");
const reference = document.querySelector(".reference")?.textContent?.trim() ?? "";

/** @param {string} name */
const text = (name) => place?.dataset[name] ?? "";

if (place && reference) {
  const told = document.createElement("span");
  told.setAttribute("role", "status");
  place.append(button(text("print"), () => print(), "second"));
  if (navigator.clipboard) {
    place.append(button(text("copy"), async () => {
      await navigator.clipboard.writeText(reference);
      told.textContent = text("copied");
    }, "second"));
  }
  const shared = { title: document.title, text: reference, url: location.origin + location.pathname };
  if (navigator.share && (!navigator.canShare || navigator.canShare(shared))) {
    // Whoever closes the list of programs has changed their mind.
    place.append(button(text("share"), () => void navigator.share(shared).catch(() => {}), "second"));
  }
  place.append(told);
  place.hidden = false;
}

// What the form left for the next person is only used by whoever asks for it.
document.querySelector("[data-another]")?.addEventListener("click", () => {
  const kept = sessionStorage.getItem("kept");
  if (kept) sessionStorage.setItem("draft", kept);
});
