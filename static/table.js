// Lets the arrow keys go from box to box in a table of ticks, as they do in a spreadsheet.
"use strict";

(() => {
  const table = document.querySelector(".audience-table");
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  table.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    const cell = event.target.closest("td");
    if (!step || !cell) return;
    const row = table.rows[cell.parentElement.rowIndex + step[0]];
    const box = row?.cells[cell.cellIndex + step[1]]?.querySelector("input");
    if (!box) return;
    event.preventDefault();
    box.focus();
  });
})();
