// Fills the page that is shown without a connection from the copy that the service worker keeps
// (templates/worker.js). Which part it is, the address says: it is that of the page asked for.
"use strict";

(async () => {
  const AT_ONCE = 50; // cards in the list
  const LOOK_EVERY = 5000; // milliseconds
  const ID = "([0-9a-f-]{36})";
  const language = document.documentElement.lang;
  const search = document.getElementById("q");
  const copy = await kept("/offline/copy", (answer) => answer.json());

  async function kept(url, read) {
    const answer = "caches" in window && (await caches.match(url));
    return answer ? read(answer) : undefined;
  }

  function at(path) {
    return location.pathname.match(`^${path}$`);
  }

  function show(id) {
    const part = document.getElementById(id);
    part.hidden = false;
    const heading = part.querySelector("h1");
    document.title = document.title.replace(/^[^·]+/, `${heading.textContent} `);
    return part;
  }

  function say(place, values) {
    place.textContent = place.dataset.said.replace(/{(\w+)}/, (_, name) => values[name]);
  }

  function time(iso) {
    return new Date(iso).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  }

  function element(name, fields = {}, ...children) {
    const made = Object.assign(document.createElement(name), fields);
    made.append(...children);
    return made;
  }

  // A photo may be in the browser's own cache; if it is not, the first letter takes its place.
  function photo({ photo: src, fn }) {
    const letter = element("span", { className: "photo", ariaHidden: "true" }, [...fn][0].toUpperCase());
    if (!src) return letter;
    const picture = element("img", { className: "photo", alt: "", src });
    picture.addEventListener("error", () => picture.replaceWith(letter));
    return picture;
  }

  function link([text, href]) {
    return href ? element("a", { href, rel: "noreferrer nofollow" }, text) : element("span", {}, text);
  }

  function row(card, open, share) {
    const made = document.getElementById("row").content.cloneNode(true);
    made.querySelector("header").prepend(photo(card));
    made.querySelector("[data-fn]").textContent = card.fn;
    made.querySelector("[data-beside]").textContent = card.nickname || card.label || "";
    made.querySelector(".job").textContent = card.job;
    made.querySelector(".reach").append(...card.reach.map(link));
    if (open) made.querySelector("[data-open]").href = open;
    if (share) made.querySelector("[data-share]").href = share;
    else made.querySelector("footer").remove();
    return made;
  }

  // As the server does it: without accents and capitals; all words must be found.
  function terms(wanted) {
    const digits = wanted.replace(/\D/g, "").replace(/^0+/, "");
    if (digits.length > 2 && /^[\d\s()+./-]+$/.test(wanted)) return [digits];
    const folded = wanted.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
    return folded.split(/\s+/).filter(Boolean);
  }

  function list(count) {
    const words = terms(search.value.trim());
    const found = copy.held.filter((card) => words.every((word) => card.search.includes(word)));
    const rows = found.slice(0, count).map((card) => row(card, `/held/${card.id}/`));
    document.getElementById("list").replaceChildren(...rows);
    const none = document.getElementById("none");
    none.textContent = found.length ? "" : none.dataset[words.length ? "notFound" : "none"];
    const more = document.getElementById("more");
    more.hidden = found.length <= count;
    more.onclick = () => list(count + AT_ONCE);
  }

  function held() {
    search.value = new URLSearchParams(location.search).get("q") ?? "";
    search.addEventListener("input", () => {
      // So that it is still there when the page is back.
      history.replaceState(null, "", search.value ? `?q=${encodeURIComponent(search.value)}` : "/");
      list(AT_ONCE);
    });
    search.form.addEventListener("submit", (event) => event.preventDefault());
    list(AT_ONCE);
    show("held");
  }

  function card(shown) {
    const part = document.getElementById("card");
    part.querySelector("header").prepend(photo(shown));
    part.querySelector("[data-fn]").textContent = shown.fn;
    say(part.querySelector("[data-owner]"), shown);
    const lines = shown.lines.map(([label, ...line]) =>
      element("div", {}, element("dt", {}, label), element("dd", { dir: "auto" }, link(line))),
    );
    part.querySelector("dl").append(...lines);
    const { nickname, note, tags } = shown;
    part.querySelector("[data-nickname]").textContent = nickname;
    part.querySelector("[data-note]").textContent = note;
    const tag = (text) => element("span", { className: "tag" }, text);
    part.querySelector("[data-tags]").append(...tags.map(tag));
    part.querySelector("#beside").hidden = !nickname && !note && !tags.length;
    show("card");
  }

  function own() {
    const rows = copy.own.map((each) => row(each, null, `/cards/${each.id}/share/`));
    document.getElementById("mine").append(...rows);
    document.getElementById("no-own").hidden = rows.length > 0;
    show("own");
  }

  async function share(mine) {
    say(document.querySelector("[data-title]"), { name: mine.fn });
    const made = await kept(`/offline/invitation/${mine.id}`, (answer) => answer.json());
    const works =
      made && mine.invitations.includes(made.invitation) && new Date(made.until) > new Date();
    document.getElementById("no-invitation").hidden = works;
    if (works) {
      const part = document.getElementById("invitation");
      part.hidden = false;
      part.querySelector("img").src = made.qr;
      part.querySelector("code").textContent = made.code;
      say(part.querySelector("[data-until]"), { time: time(made.until) });
    }
    show("share");
  }

  async function fill() {
    if (!copy) return show("nobody");
    const checked = await kept("/offline/checked", (answer) => answer.text());
    if (checked) say(document.getElementById("state"), { time: time(checked) });
    if (at("/") || at("/held/")) return held();
    if (at("/cards/")) return own();
    const [, shared] = at(`/cards/${ID}/share/`) || [];
    const mine = copy.own.find((each) => at("/qr/") || each.id === shared);
    if (mine) return share(mine);
    const [, opened] = at(`/held/${ID}/`) || [];
    const theirs = copy.held.find((each) => each.id === opened);
    if (theirs) return card(theirs);
    return show(opened ? "gone" : "elsewhere");
  }

  // The network may be back before the server is.
  async function leaveIfBack() {
    if (!navigator.onLine) return;
    const asked = fetch("/worker.js", { method: "HEAD", cache: "no-store" });
    if ((await asked.catch(() => undefined))?.ok) location.reload();
  }

  document.getElementById("again").href = location.href;
  await fill();
  window.addEventListener("online", leaveIfBack);
  setInterval(leaveIfBack, LOOK_EVERY);
})();
