// Starts the service worker (templates/worker.js), and tells it what it cannot see by itself: that
// something has changed while a page is open, and an invitation that was just made.
"use strict";

(async () => {
  if (!("serviceWorker" in navigator)) return; // without TLS there is none
  await navigator.serviceWorker.register("/worker.js");

  async function tell(what) {
    const { active } = await navigator.serviceWorker.ready;
    active.postMessage(what);
  }

  window.addEventListener("news", () => tell({}));
  const made = document.querySelector("[data-invitation]");
  if (made) tell({ keep: { ...made.dataset } });
})();
