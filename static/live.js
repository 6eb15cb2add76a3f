// Keeps an open page as new as the server. A frame of the WebSocket is only a hint: what has
// changed is read again from the page's own address, so nothing is shown that it would not show.
//
// [data-live] is a part that is read again whenever it may be out of date, with "all" also for any
// card that changes; [data-card] shows a single card. Each has an id and, in data-url, where to
// read it. What is said about it stands in data attributes of #news. Frames and close codes:
// docs/wire.md. Whoever else wants to know that there was something hears it as "news" of the window.
"use strict";

(() => {
  const SIGNED_OUT = 4401;
  const LONGEST_WAIT = 30000; // milliseconds
  const SHOWN_FOR = 6000;
  const ANSWERED_WITHIN = 10000;

  const news = document.getElementById("news");
  const offline = document.getElementById("offline");
  const busy = new Map(); // id of a part that is being read -> { again, done }
  let tries = 0;
  let waiting;
  let leaving;

  window.addEventListener("beforeunload", () => {
    clearTimeout(leaving);
    leaving = setTimeout(() => (leaving = undefined), ANSWERED_WITHIN);
  });

  function connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws/v1/`, ["cards.v1.json"]);
    socket.addEventListener("open", () => {
      if (tries) window.dispatchEvent(new Event("news"));
      tries = 0;
      offline.hidden = true;
      // Whatever happened between the making of this page, or the last socket, and this one.
      readAll();
    });
    socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => lost(event.code));
  }

  function lost(code) {
    if (code === SIGNED_OUT) {
      // What signed this page out may be a form of its own, whose answer is on its way.
      if (!leaving) location.assign(news.dataset.signIn);
      return;
    }
    offline.hidden = false;
    const longest = Math.min(LONGEST_WAIT, 500 * 2 ** tries);
    tries += 1;
    waiting = setTimeout(connect, longest * (0.5 + Math.random() / 2));
  }

  function hear(frame) {
    const on = {
      card: cardChanged,
      binding: bindingChanged,
      private: readAll,
      removed: cardRemoved,
    }[frame.type];
    if (!on) return;
    on(frame);
    window.dispatchEvent(new Event("news"));
  }

  async function cardChanged(frame) {
    const places = document.querySelectorAll(`[data-card="${frame.card}"]`);
    const lines = await Promise.all([...places].map((place) => readAndShow(place.id)));
    for (const part of document.querySelectorAll('[data-live="all"]')) read(part.id);
    const changed = [...new Set(lines.flat())].join(news.dataset.between);
    say(changed ? "changedLines" : "changed", frame.view.fn, changed);
  }

  function bindingChanged(frame) {
    const { side, state, owner, holder } = frame.binding;
    if (side === "holder") say("held", owner.name);
    else say(state === "active" ? "holder" : "holderGone", holder.name);
    readAll();
  }

  function cardRemoved(frame) {
    const instead = document.getElementById("removed");
    for (const place of document.querySelectorAll(`[data-card="${frame.card}"]`)) {
      say("removed", place.dataset.name);
      place.replaceWith(instead ? instead.content.cloneNode(true) : "");
    }
    readAll();
  }

  function readAll() {
    for (const part of document.querySelectorAll("[data-live]")) read(part.id);
  }

  async function readAndShow(id) {
    const lines = await read(id);
    const place = document.getElementById(id);
    if (place) {
      place.classList.add("changed");
      setTimeout(() => place.classList.remove("changed"), SHOWN_FOR);
    }
    return lines;
  }

  // Reads a part again and resolves to the lines that are new in it. A part that is being read is
  // not read a second time beside that, but once more afterwards.
  function read(id) {
    const running = busy.get(id);
    if (running) {
      running.again = true;
      return running.done;
    }
    const run = { again: false };
    busy.set(id, run);
    run.done = readUntilQuiet(id, run);
    return run.done;
  }

  async function readUntilQuiet(id, run) {
    const lines = [];
    do {
      run.again = false;
      lines.push(...(await replace(document.getElementById(id))));
    } while (run.again);
    busy.delete(id);
    return lines;
  }

  async function replace(place) {
    const fresh = place && (await fetched(place));
    if (!fresh || !place.isConnected) return [];
    keepAsItIs(place, fresh);
    if (fresh.isEqualNode(place)) return [];
    const focused = place.contains(document.activeElement) && selectorOf(document.activeElement);
    const lines = newLines(place, fresh);
    place.replaceWith(fresh);
    htmx.process(fresh);
    if (focused) fresh.querySelector(focused)?.focus();
    return lines;
  }

  // What differs without being news: what the reader has opened, and the tokens of forms.
  function keepAsItIs(place, fresh) {
    const fold = fresh.querySelectorAll("details");
    place.querySelectorAll("details").forEach((each, at) => fold[at]?.toggleAttribute("open", each.open));
    const token = "[name=csrfmiddlewaretoken]";
    const known = place.querySelector(token)?.getAttribute("value");
    if (!known) return;
    for (const each of fresh.querySelectorAll(token)) each.setAttribute("value", known);
  }

  // What leads to the same thing when the part is read again.
  function selectorOf(element) {
    if (element.id) return `#${CSS.escape(element.id)}`;
    if (element.form) return `form[action="${CSS.escape(element.form.getAttribute("action"))}"] button`;
    const href = element.getAttribute("href");
    return href ? `a[href="${CSS.escape(href)}"]` : element.localName;
  }

  // The same part as it is now; undefined if the server is away, or it is not ours to see.
  async function fetched(place) {
    try {
      const answer = await fetch(place.dataset.url, { redirect: "error" });
      if (!answer.ok) return undefined;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      return page.getElementById(place.id);
    } catch (error) {
      if (error instanceof TypeError) return undefined; // what fetch throws when it fails
      throw error;
    }
  }

  function newLines(place, fresh) {
    const known = new Set([...place.querySelectorAll("[data-line]")].map((line) => line.textContent));
    const lines = [...fresh.querySelectorAll("[data-line]")];
    return lines.filter((line) => !known.has(line.textContent)).map((line) => line.dataset.line);
  }

  function say(what, name, lines = "") {
    const text = news.dataset[what].replace("{name}", name).replace("{lines}", lines);
    const line = document.createElement("span");
    line.textContent = text;
    news.replaceChildren(line);
    setTimeout(() => line.remove(), SHOWN_FOR);
  }

  window.addEventListener("online", () => {
    if (offline.hidden) return;
    clearTimeout(waiting);
    connect();
  });

  connect();
})();
