// Lets somebody choose the square of a photo that is kept: it is dragged, moved by the arrow keys, and
// zoomed. Which part it is goes into the hidden field "crop"; the server cuts it out.
"use strict";

(() => {
  const LARGEST = 5 * 1024 * 1024; // as cards/photos.py has it
  const SMALLEST = 0.2; // of the shorter side
  const STEP = 0.02;

  const field = document.getElementById("id_photo");
  const crop = document.getElementById("id_crop");
  const place = document.getElementById("cropping");
  const wrong = document.getElementById("no-picture");
  const canvas = place.querySelector("canvas");
  const zoom = place.querySelector("input");
  let picture;
  let left = 0; // of the square, in pixels of the picture
  let top = 0;
  let side = 0;

  async function choose() {
    picture = undefined;
    crop.value = "";
    const [file] = field.files;
    wrong.textContent = file && file.size > LARGEST ? place.dataset.tooLarge : "";
    if (file && !wrong.textContent) {
      try {
        picture = await createImageBitmap(file);
      } catch {
        wrong.textContent = place.dataset.noPicture;
      }
    }
    wrong.hidden = !wrong.textContent;
    place.hidden = !picture;
    if (!picture) return;
    side = Math.min(picture.width, picture.height);
    left = (picture.width - side) / 2;
    top = (picture.height - side) / 2;
    zoom.value = 0;
    show();
  }

  function show() {
    const within = (at, whole) => Math.max(0, Math.min(at, whole - side));
    left = within(left, picture.width);
    top = within(top, picture.height);
    const paper = canvas.getContext("2d");
    paper.clearRect(0, 0, canvas.width, canvas.height);
    paper.drawImage(picture, left, top, side, side, 0, 0, canvas.width, canvas.height);
    const shorter = Math.min(picture.width, picture.height);
    const parts = [left / picture.width, top / picture.height, side / shorter];
    crop.value = parts.map((part) => part.toFixed(4)).join(",");
  }

  function move(right, down) {
    left += right * side;
    top += down * side;
    show();
  }

  zoom.addEventListener("input", () => {
    const shorter = Math.min(picture.width, picture.height);
    const before = side;
    side = shorter * (1 - (1 - SMALLEST) * (zoom.value / 100));
    left += (before - side) / 2; // the middle stays where it is
    top += (before - side) / 2;
    show();
  });
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    move(-event.movementX / canvas.clientWidth, -event.movementY / canvas.clientHeight);
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (!steps[event.key]) return;
    event.preventDefault();
    move(...steps[event.key]);
  });
  field.addEventListener("change", choose);
  if (field.files.length) choose(); // by somebody quicker than this page, or before it was loaded again
})();
