// The console's own few lines: what the keyboard does, and leaving when a login is over.
(() => {
  "use strict";
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

  // `j` and `k` walk through the rows of a list.
  const step = (by) => {
    const rows = [...document.querySelectorAll("[data-row]")];
    const next = rows[rows.indexOf(document.activeElement) + by] ?? (by > 0 ? rows[0] : rows.at(-1));
    if (next) next.focus();
    return Boolean(next);
  };

  // `g` and a letter goes to a page, `/` to the first field, other keys press what carries them as `data-key`.
  let waiting = false;
  document.addEventListener("keydown", (pressed) => {
    if (pressed.ctrlKey || pressed.metaKey || pressed.altKey || typing(pressed.target)) return;
    const key = pressed.key;
    const going = waiting;
    const found = going
      ? document.querySelector(`[data-go="${CSS.escape(key)}"]`)
      : document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    waiting = !going && key === "g";
    const button = going || waiting ? null : document.querySelector(`[data-focus="${CSS.escape(key)}"]`);
    if (!going && ((key === "j" && step(1)) || (key === "k" && step(-1)))) {
      pressed.preventDefault();
    } else if (button) {
      pressed.preventDefault();
      button.focus(); // and Enter presses it: two keys, so that none decides by accident
    } else if (found) {
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
