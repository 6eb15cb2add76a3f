// Keeps the name on the card in step with its parts, as long as nobody has written another one.
"use strict";

(() => {
  const rows = document.getElementById("rows");
  const whole = document.getElementById("id_fn");
  const HAN = /^\p{Script=Han}+$/u;
  let before;

  const rowOf = (event) => event.target.closest('[data-kind="n"]');

  function together(row) {
    const part = (at) => row.querySelector(`[name$="-part${at}"]`).value.trim();
    const [family, given, additional, prefix, suffix] = [0, 1, 2, 3, 4].map(part);
    const name = family + additional + given;
    if (!HAN.test(name)) return [prefix, given, additional, family, suffix].filter(Boolean).join(" ");
    const words = [prefix, name, suffix].filter(Boolean);
    return words.join(HAN.test(words.join("")) ? "" : " ");
  }

  rows.addEventListener("focusin", (event) => {
    if (rowOf(event)) before = together(rowOf(event));
  });
  rows.addEventListener("input", (event) => {
    if (!rowOf(event) || (whole.value && whole.value !== before)) return;
    whole.value = before = together(rowOf(event));
  });
})();
