// Lets the rows of a card be moved up and down. A row's place is in its hidden field "order". Whoever
// adds one goes on writing in it.
"use strict";

(() => {
  const rows = document.getElementById("rows");

  function move(button) {
    const row = button.closest("fieldset.row");
    const up = button.dataset.move === "up";
    const other = up ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return;
    if (up) other.before(row);
    else other.after(row);
    [...rows.children].forEach((each, place) => {
      each.querySelector('[name$="-order"]').value = place;
    });
    button.focus();
    row.dispatchEvent(new Event("change", { bubbles: true })); // the preview follows
  }

  function show() {
    for (const button of rows.querySelectorAll("[data-move]")) button.hidden = false;
  }

  rows.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (button) move(button);
  });
  rows.addEventListener("htmx:load", (event) => {
    show(); // the row that was added
    event.target.querySelector(".part > :is(input, select, textarea)")?.focus();
  });
  show();
})();
