// The service worker. Pages come from the network, always; when it is away, one of the offline
// pages takes their place, which static/offline.js fills from a copy that is kept here. What is not
// fetched by GET, the admin and the API are never touched.
//
// Each page says whose it is (Cardsite-Person). The copy belongs to that person alone: the first
// page of somebody else, or of nobody, takes it away before it is shown.
"use strict";

const SHELL = "shell-{{ version }}"; // all that the offline pages are made of; nobody's
const PAGES = {{ pages|safe }};
const FILES = {{ files|safe }};
const ICON = "{{ icon }}";
const NEWS = "{% url 'notified' %}";
const COPY = "{% url 'offline-copy' %}";
const CHECKED = "/offline/checked"; // when the server was last asked
const WHOSE = "Cardsite-Person";
const NOBODY = "nobody";
const HASHED = /\.[0-9a-f]{12}\./;
const NOT_OURS = /^\/(admin|api)\//;

let present; // whose page came last, since this worker was started
let turn = Promise.resolve();
let reading;
let readAgain = false;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== location.origin || NOT_OURS.test(pathname)) return;
  if (mode === "navigate") event.respondWith(page(event));
  else if (FILES.includes(pathname)) event.respondWith(file(event.request));
});
self.addEventListener("push", (event) => event.waitUntil(notify(event.data.json())));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(self.clients.openWindow(NEWS));
});
self.addEventListener("message", (event) => {
  const { keep } = event.data;
  event.waitUntil(keep ? keepInvitation(keep) : refresh());
});

async function install() {
  const shell = await caches.open(SHELL);
  const all = [...Object.values(PAGES), ...FILES];
  await shell.addAll(all.map((url) => new Request(url, { cache: "reload" })));
  await self.skipWaiting();
}

async function activate() {
  await remove((name) => name.startsWith("shell-") && name !== SHELL);
  await self.clients.claim();
  await refresh();
}

async function page(event) {
  let answer;
  try {
    // No page is left in the browser's own cache either.
    answer = await fetch(new Request(event.request, { cache: "no-store" }));
  } catch {
    return offlinePage();
  }
  const mark = answer.headers.get(WHOSE);
  if (mark) {
    present = mark;
    await inTurn(() => leaveOnly(mark));
    if (mark !== NOBODY) event.waitUntil(refresh());
  } else if ([502, 503, 504].includes(answer.status)) {
    return offlinePage(); // a proxy, before a server that is away
  }
  return answer;
}

async function file(request) {
  const kept = HASHED.test(request.url) && (await caches.match(request));
  return kept || fetch(request).catch(() => caches.match(request));
}

async function offlinePage() {
  const kept = await caches.match(COPY);
  const [first] = Object.keys(PAGES);
  const chosen = kept?.headers.get("Content-Language");
  const spoken = self.navigator.language.toLowerCase().slice(0, 2);
  const language = chosen || Object.keys(PAGES).find((each) => each.startsWith(spoken)) || first;
  return caches.match(PAGES[language]);
}

// The copy

// Reads the copy again if it is out of date; once more if that was asked for meanwhile.
function refresh() {
  readAgain = true;
  reading ??= readUntilQuiet().finally(() => (reading = undefined));
  return reading;
}

async function readUntilQuiet() {
  for (let tries = 0; readAgain && tries < 5; tries += 1) {
    readAgain = false;
    await read();
  }
}

async function read() {
  const kept = await caches.match(COPY);
  const headers = kept ? { "If-None-Match": kept.headers.get("ETag") } : {};
  let answer;
  try {
    answer = await fetch(COPY, { headers, cache: "no-store", redirect: "manual" });
  } catch {
    return;
  }
  if (answer.type === "opaqueredirect") await inTurn(() => leaveOnly(NOBODY)); // to the sign-in
  else if (answer.ok || answer.status === 304) await inTurn(() => store(answer));
}

async function store(answer) {
  const mark = answer.headers.get(WHOSE);
  // Whoever has signed out while this was on its way gets nothing back.
  if (present !== undefined && present !== mark) return;
  await leaveOnly(mark);
  const copy = await caches.open(`copy-${mark}`);
  if (answer.ok) {
    await copy.put(COPY, answer);
    readAgain = true; // to say that it is here
  }
  await copy.put(CHECKED, new Response(new Date().toISOString()));
}

// The code of an invitation is on one page and nowhere else; here it works without a connection.
async function keepInvitation(made) {
  await inTurn(async () => {
    const [name] = (await caches.keys()).filter((each) => each.startsWith("copy-"));
    if (!name) return;
    const copy = await caches.open(name);
    await copy.put(`/offline/invitation/${made.of}`, Response.json(made));
  });
  await refresh();
}

// What is kept is written and taken away by one at a time.
function inTurn(job) {
  turn = turn.catch(() => {}).then(job);
  return turn;
}

async function leaveOnly(mark) {
  await remove((name) => name.startsWith("copy-") && name !== `copy-${mark}`);
  if (mark !== NOBODY) return;
  const subscription = await self.registration.pushManager?.getSubscription();
  await subscription?.unsubscribe();
}

async function remove(isGone) {
  const names = await caches.keys();
  await Promise.all(names.filter(isGone).map((name) => caches.delete(name)));
}

// Notifications

async function notify({ title, body }) {
  await self.registration.showNotification(title, { body, tag: "cards", icon: ICON });
}
