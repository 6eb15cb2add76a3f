// Keeps the name on the card in step with its parts, as long as nobody has written another one.
"use strict";

(() => {
  const rows = document.getElementById("rows");
  const whole = document.getElementById("id_fn");
  const HAN = /^\p{Script=Han}+$/u;

  const rowOf = (event) => event.target.closest('[data-kind="n"]');

  function together(row, text = (input) => input.value) {
    const part = (at) => text(row.querySelector(`[name$="-part${at}"]`)).trim();
    const [family, given, additional, prefix, suffix] = [0, 1, 2, 3, 4].map(part);
    const name = family + additional + given;
    if (!HAN.test(name)) return [prefix, given, additional, family, suffix].filter(Boolean).join(" ");
    const words = [prefix, name, suffix].filter(Boolean);
    return words.join(HAN.test(words.join("")) ? "" : " ");
  }

  function keepInStep(row) {
    if (!whole.value || whole.value === before) whole.value = before = together(row);
  }

  // Somebody may be quicker than this script.
  const first = rows.querySelector('[data-kind="n"]');
  let before = first ? together(first, (input) => input.defaultValue) : undefined;
  if (first) keepInStep(first);

  rows.addEventListener("focusin", (event) => {
    if (rowOf(event)) before = together(rowOf(event));
  });
  rows.addEventListener("input", (event) => {
    if (rowOf(event)) keepInStep(rowOf(event));
  });
})();
