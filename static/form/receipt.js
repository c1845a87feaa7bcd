// The receipt: print it, copy its number, share its address, and register another person with the same city and e-mail.

const actions = document.getElementById("receipt-actions");
if (actions) enable(actions, actions.dataset);

/** @param {HTMLElement} actions @param {DOMStringMap} texts */
function enable(actions, { reference = "", address = "", title = "", copied = "" }) {
  /** @param {string} id @param {() => void} act */
  const on = (id, act) => {
    const button = document.getElementById(id);
    button?.addEventListener("click", act);
    return button ?? document.createElement("button");
  };
  const told = document.createElement("span");
  told.setAttribute("role", "status");
  actions.append(told);
  on("receipt-print", () => print());
  const copy = on("receipt-copy", async () => {
    await navigator.clipboard.writeText(reference);
    told.textContent = copied;
  });
  copy.hidden = !navigator.clipboard;
  const shared = { title, text: reference, url: address };
  // Whoever closes the list of programs has changed their mind.
  const share = on("receipt-share", () => void navigator.share(shared).catch(() => {}));
  share.hidden = !navigator.share || Boolean(navigator.canShare && !navigator.canShare(shared));
  actions.hidden = false;
}

// What the form left for the next person is only used by whoever asks for it.
document.querySelector('a[href*="another=1"]')?.addEventListener("click", () => {
  const kept = sessionStorage.getItem("kept");
  if (kept) sessionStorage.setItem("draft", kept);
});
