// Drawing a box around one person, with the pointer or the arrow keys.
import { dialog, h, t } from "./dom.js";

const STEP = 0.02; // of the picture, per key press

export async function crop(blob) {
  const image = await createImageBitmap(blob);
  const longest = Math.max(image.width, image.height);
  const scale = Math.min(1400 / longest, Math.max(1, 700 / longest));
  const canvas = h("canvas", { width: Math.round(image.width * scale), height: Math.round(image.height * scale), tabIndex: 0, role: "img", "aria-label": t("cropCanvas") });
  const pen = canvas.getContext("2d");
  let box = { x: 0.2, y: 0.05, w: 0.6, h: 0.9 }; // shares of the picture
  let from = null;

  const draw = () => {
    const [x, y, w, high] = [box.x * canvas.width, box.y * canvas.height, box.w * canvas.width, box.h * canvas.height];
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    pen.fillStyle = "rgb(0 0 0 / 55%)";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, box.x * image.width, box.y * image.height, box.w * image.width, box.h * image.height, x, y, w, high);
    pen.strokeStyle = "#ffd166";
    pen.lineWidth = Math.max(2, canvas.width / 250);
    pen.strokeRect(x, y, w, high);
  };
  const place = (event) => {
    const frame = canvas.getBoundingClientRect();
    const within = (value) => Math.min(1, Math.max(0, value));
    return [within((event.clientX - frame.left) / frame.width), within((event.clientY - frame.top) / frame.height)];
  };
  const stretch = (x, y) => {
    if (Math.abs(x - from[0]) < 0.01 || Math.abs(y - from[1]) < 0.01) return;
    box = { x: Math.min(x, from[0]), y: Math.min(y, from[1]), w: Math.abs(x - from[0]), h: Math.abs(y - from[1]) };
    draw();
  };
  canvas.addEventListener("pointerdown", (event) => { from = place(event); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => from && stretch(...place(event)));
  canvas.addEventListener("pointerup", (event) => { if (from) stretch(...place(event)); from = null; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [dx, dy] = step;
    if (event.shiftKey) box = { ...box, w: Math.min(1 - box.x, Math.max(0.05, box.w + dx)), h: Math.min(1 - box.y, Math.max(0.05, box.h + dy)) };
    else box = { ...box, x: Math.min(1 - box.w, Math.max(0, box.x + dx)), y: Math.min(1 - box.h, Math.max(0, box.y + dy)) };
    draw();
  });
  draw();
  return new Promise((resolve) => {
    const use = () => {
      const cut = h("canvas", { width: Math.max(1, Math.round(box.w * image.width)), height: Math.max(1, Math.round(box.h * image.height)) });
      cut.getContext("2d").drawImage(image, box.x * image.width, box.y * image.height, cut.width, cut.height, 0, 0, cut.width, cut.height);
      cut.toBlob((made) => { resolve(made); shown.close(); }, "image/jpeg", 0.95);
    };
    const shown = dialog(t("crop"), h("p", {}, t("cropHint")), canvas,
      h("div", { class: "row" }, h("button", { type: "button", class: "primary", onclick: use }, t("useCrop"))));
    shown.addEventListener("close", () => resolve(null));
    canvas.focus();
  });
}
