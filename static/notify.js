// Subscribes this browser to notifications, on its person's click, and hands the subscription in
// with the form. A browser that the server notifies no more is told to forget its subscription.
"use strict";

(async () => {
  const form = document.getElementById("notify");
  if (!form) return;
  const isAble = "serviceWorker" in navigator && "PushManager" in window;

  function say(what) {
    form.querySelector("[role=alert]").textContent = form.dataset[what];
  }

  async function pushManager() {
    return (await navigator.serviceWorker.ready).pushManager;
  }

  async function forget() {
    const before = await (await pushManager()).getSubscription();
    await before?.unsubscribe();
  }

  async function subscribe() {
    await forget(); // one made with another key of the server cannot be used
    const subscription = await (
      await pushManager()
    ).subscribe({ userVisibleOnly: true, applicationServerKey: form.dataset.key });
    const { endpoint, keys } = subscription.toJSON();
    for (const [name, value] of Object.entries({ endpoint, ...keys })) {
      form.elements[name].value = value;
    }
    form.submit();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!isAble) return say("unable");
    if ((await Notification.requestPermission()) !== "granted") return say("denied");
    return subscribe().catch(() => say("failed"));
  });
  if (isAble) await forget();
})();
