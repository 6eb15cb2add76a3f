// Buttons that copy a field: data-copy names it, data-copied is what the button says then.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    // Without TLS a browser has no clipboard for pages; the selected text can be copied by hand.
    if (!navigator.clipboard) return field.select();
    await navigator.clipboard.writeText(field.value);
    button.textContent = button.dataset.copied;
  });
}
