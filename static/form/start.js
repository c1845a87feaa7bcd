// The first script of the form, and the only one of the first view. The form works without it. It fetches the rest
// when the form is first touched, or at once where something was kept from an earlier visit.

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("registration"));
const privacy = /** @type {HTMLDetailsElement | null} */ (document.getElementById("privacy"));

// A draft that the server keeps goes on as it began, without scripts.
if (form && !form.elements.namedItem("draft")) fetchOnTouch(form);
if (privacy) openWhenLinked(privacy);

/** @param {HTMLFormElement} form */
function fetchOnTouch(form) {
  /** @type {"not yet" | "here" | "failed"} */
  let state = "not yet";
  /** @type {Promise<unknown> | undefined} */
  let loading;
  const load = () => {
    loading ??= import("./registration.js").then(() => (state = "here"), () => (state = "failed"));
    return loading;
  };
  for (const touch of ["pointerdown", "focusin", "input", "change"]) form.addEventListener(touch, load, { once: true });
  form.addEventListener("submit", (event) => {
    // Without the rest it is a plain form, and the browser sends it.
    if (state !== "not yet") return;
    event.preventDefault();
    const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
    load().then(() => (state === "here" ? form.requestSubmit(button) : form.submit()));
  });
  const isKept = () => {
    try {
      return history.state?.reference || sessionStorage.getItem("draft") || localStorage.getItem("outbox");
    } catch {
      return false;
    }
  };
  if (isKept()) load();
}

/** A link to the notice opens it, and leaves what was typed where it is. @param {HTMLDetailsElement} privacy */
function openWhenLinked(privacy) {
  const open = () => {
    privacy.open = true;
    privacy.scrollIntoView();
    privacy.querySelector("summary")?.focus();
  };
  if (location.hash === "#privacy") open();
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("a");
    if (!link || link.hash !== "#privacy") return;
    event.preventDefault();
    open();
  });
}
