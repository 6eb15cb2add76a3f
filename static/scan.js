// Reads the QR code of an invitation with the camera, or from a picture: by the browser's own
// detector, or where it has none by jsQR, which is fetched only then. What leads to an invitation
// or a public page of this server is followed; anything else is only shown.
"use strict";

(() => {
  const here = document.getElementById("scan");
  const video = here.querySelector("video");
  const start = document.getElementById("start-camera");
  const picture = document.getElementById("picture");
  const said = here.querySelector("[role=status]");
  const EVERY = 200; // milliseconds
  const LARGEST = 1200; // pixels of a side that is looked at
  let reader;

  function say(what, found = "") {
    said.textContent = here.dataset[what].replace("{found}", found);
  }

  function script(address) {
    return new Promise((resolve, reject) => {
      const element = Object.assign(document.createElement("script"), { src: address });
      element.addEventListener("load", resolve);
      element.addEventListener("error", reject);
      document.head.append(element);
    });
  }

  async function makeReader() {
    const formats = "BarcodeDetector" in window ? await BarcodeDetector.getSupportedFormats() : [];
    if (formats.includes("qr_code")) {
      const detector = new BarcodeDetector({ formats: ["qr_code"] });
      return async (image) => (await detector.detect(image))[0]?.rawValue;
    }
    await script(here.dataset.decoder);
    return async (image) => {
      const pixels = image.getContext("2d").getImageData(0, 0, image.width, image.height);
      return jsQR(pixels.data, pixels.width, pixels.height)?.data;
    };
  }

  async function read(source, width, height) {
    reader ??= makeReader();
    const scale = Math.min(1, LARGEST / Math.max(width, height));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height].map((side) => Math.round(side * scale));
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(source, 0, 0, canvas.width, canvas.height);
    return (await reader)(canvas);
  }

  function follow(text) {
    const address = URL.canParse(text) ? new URL(text) : undefined;
    const isOurs = address?.origin === location.origin && /^\/[ip]\/[^/]+$/.test(address.pathname);
    if (isOurs) {
      say("found");
      location.assign(address.pathname);
    } else {
      say("other", text);
    }
    return isOurs;
  }

  async function look() {
    const text = video.videoWidth ? await read(video, video.videoWidth, video.videoHeight) : "";
    if (!text || !follow(text)) setTimeout(look, EVERY);
  }

  async function openCamera() {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      say(error.name === "NotAllowedError" ? "denied" : "none");
      return;
    }
    video.hidden = false;
    start.hidden = true;
    say("looking");
    await video.play();
    look();
  }

  if (navigator.mediaDevices) {
    start.hidden = false;
    start.addEventListener("click", openCamera);
  } else {
    say("none");
  }

  picture.hidden = false;
  picture.querySelector("input").addEventListener("change", async (event) => {
    const image = await createImageBitmap(event.target.files[0]).catch(() => undefined);
    const text = image && (await read(image, image.width, image.height));
    if (text) follow(text);
    else say("nothing");
  });
})();
