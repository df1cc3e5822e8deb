// The console's own few lines: what the keyboard does, and leaving when a login is over.
(() => {
  "use strict";
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

  // `g` and a letter goes to a page, `/` to the first field, other keys press what carries them as `data-key`.
  let waiting = false;
  document.addEventListener("keydown", (pressed) => {
    if (pressed.ctrlKey || pressed.metaKey || pressed.altKey || typing(pressed.target)) return;
    const key = pressed.key;
    const found = waiting
      ? document.querySelector(`[data-go="${CSS.escape(key)}"]`)
      : document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    waiting = !waiting && key === "g";
    if (found) {
      pressed.preventDefault();
      if (found.matches("input, textarea, select")) found.focus();
      else found.click();
    } else if (!waiting && key === "/") {
      const field = document.querySelector("main input:not([type=hidden])");
      if (field) {
        pressed.preventDefault();
        field.focus();
      }
    }
  });

  // The stream of a live page says that the login is over.
  document.addEventListener("over", () => window.location.reload());
})();
