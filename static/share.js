// The QR code of an invitation on the whole screen, bright and awake, and the device's own way to
// send a link. Buttons show where the browser can do what they say.
"use strict";

(() => {
  const whole = document.getElementById("whole-qr");
  const show = document.getElementById("show-qr");
  const send = document.getElementById("send-link");
  let awake;

  async function stayAwake() {
    // Refused where the battery is low: then the screen goes dark as it always does.
    awake = await navigator.wakeLock?.request("screen").catch(() => undefined);
  }

  if (whole && show) {
    show.hidden = false;
    show.addEventListener("click", () => {
      whole.showModal();
      stayAwake();
    });
    whole.addEventListener("click", () => whole.close());
    whole.addEventListener("close", () => awake?.release());
    // A page that was hidden has lost its lock.
    document.addEventListener("visibilitychange", () => {
      if (whole.open && document.visibilityState === "visible") stayAwake();
    });
  }

  if (send && navigator.share) {
    send.hidden = false;
    send.addEventListener("click", () => {
      const { title, url } = send.dataset;
      navigator.share({ title, url }).catch(() => {}); // whoever changes their mind
    });
  }

  const print = document.getElementById("print");
  if (print) {
    print.hidden = false;
    print.addEventListener("click", () => window.print());
  }
})();
