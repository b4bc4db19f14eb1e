// The picture: drag to move, wheel or pinch to zoom, layers on and off.

import { $, make, picture } from "./common.js";

const SHOWN = 1600; // pixels of the longer side that are fetched first; the rest when somebody zooms in

export function viewer({ onOther }) {
  const stage = $("stage"), sheet = $("sheet");
  let size = [1, 1], scale = 1, x = 0, y = 0, fitted = true, shown = null, neighbour = null, onLine = null, lineFrom = null;
  const layers = { mask: true, score: false, others: true };

  const least = () => Math.min(stage.clientWidth / size[1], stage.clientHeight / size[0]);
  function place() {
    const w = size[1] * scale, h = size[0] * scale;
    x = w <= stage.clientWidth ? (stage.clientWidth - w) / 2 : Math.min(0, Math.max(stage.clientWidth - w, x));
    y = h <= stage.clientHeight ? (stage.clientHeight - h) / 2 : Math.min(0, Math.max(stage.clientHeight - h, y));
    sheet.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    sheet.style.setProperty("--hair", `${1.5 / scale}px`);
    if (shown && scale * Math.max(...size) > SHOWN * 1.2 && Math.max(...size) > SHOWN && neighbour == null) {
      const full = picture("frame", shown.frame.id, "&size=full");
      if (!$("frame").src.endsWith(full)) $("frame").src = full;
    }
  }
  function fit() { scale = least(); fitted = true; place(); }
  function zoom(by, cx = stage.clientWidth / 2, cy = stage.clientHeight / 2) {
    const next = Math.min(Math.max(least(), scale * by), Math.max(16, least()));
    x = cx - ((cx - x) * next) / scale; y = cy - ((cy - y) * next) / scale;
    scale = next; fitted = next <= least() * 1.001; place();
  }
  function focus() {
    if (!shown) return;
    const [x0, y0, x1, y1] = shown.box, w = Math.max(x1 - x0, 8), h = Math.max(y1 - y0, 8);
    scale = Math.min(Math.max(least(), 0.45 * Math.min(stage.clientWidth / w, stage.clientHeight / h)), 12);
    x = stage.clientWidth / 2 - ((x0 + x1) / 2) * scale; y = stage.clientHeight / 2 - ((y0 + y1) / 2) * scale;
    fitted = false; place();
  }

  // --- hands
  const fingers = new Map();
  let spread = 0, moved = 0;
  const spot = (e) => { const edge = stage.getBoundingClientRect(); return [(e.clientX - edge.left - x) / scale, (e.clientY - edge.top - y) / scale]; };
  stage.addEventListener("pointerdown", (e) => {
    if (e.target.closest("button")) return;
    stage.setPointerCapture(e.pointerId); fingers.set(e.pointerId, [e.clientX, e.clientY]); moved = 0; spread = 0; lineFrom = onLine && spot(e);
  });
  stage.addEventListener("pointermove", (e) => {
    const before = fingers.get(e.pointerId);
    if (!before) return;
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
    if (fingers.size === 1 && onLine) {
      if (lineFrom) onLine(lineFrom, spot(e));
    } else if (fingers.size === 1) {
      x += e.clientX - before[0]; y += e.clientY - before[1]; moved += Math.abs(e.clientX - before[0]) + Math.abs(e.clientY - before[1]); place();
    } else if (fingers.size === 2) {
      lineFrom = null;
      const [a, b] = [...fingers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]), edge = stage.getBoundingClientRect();
      if (spread) zoom(now / spread, (a[0] + b[0]) / 2 - edge.left, (a[1] + b[1]) / 2 - edge.top);
      spread = now;
    }
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (e) => { fingers.delete(e.pointerId); spread = 0; });
  stage.addEventListener("wheel", (e) => {
    e.preventDefault();
    const edge = stage.getBoundingClientRect();
    zoom(Math.exp(-Math.sign(e.deltaY) * Math.min(Math.abs(e.deltaY), 100) * 0.003), e.clientX - edge.left, e.clientY - edge.top);
  }, { passive: false });
  stage.addEventListener("dblclick", (e) => { if (!e.target.closest("button") && !onLine) { if (fitted) focus(); else fit(); } });
  new ResizeObserver(() => { if (fitted) fit(); else place(); }).observe(stage);

  // --- layers
  function draw() {
    const own = neighbour == null;
    $("mask").hidden = !layers.mask || !own; $("others").hidden = !layers.others || !own;
    $("score").hidden = !layers.score || !own || !shown?.frame.score_map;
    if (!$("score").hidden) { const at = picture("score", shown.frame.id); if (!$("score").src.endsWith(at)) $("score").src = at; }
    for (const name of Object.keys(layers)) $(`show-${name}`).setAttribute("aria-pressed", String(layers[name]));
    $("show-score").disabled = Boolean(shown && !shown.frame.score_map);
  }
  const layer = (name, on) => { layers[name] = on; draw(); };
  const drawing = (callback) => { onLine = callback; lineFrom = null; };
  const toggle = (name) => { layers[name] = !layers[name]; draw(); };
  for (const name of Object.keys(layers)) $(`show-${name}`).addEventListener("click", () => toggle(name));
  $("zoom-in").addEventListener("click", () => zoom(1.4)); $("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
  $("zoom-fit").addEventListener("click", fit); $("zoom-finding").addEventListener("click", focus);

  function over(node, [x0, y0, x1, y1]) {
    Object.assign(node.style, { left: `${(100 * x0) / size[1]}%`, top: `${(100 * y0) / size[0]}%`, width: `${(100 * (x1 - x0)) / size[1]}%`, height: `${(100 * (y1 - y0)) / size[0]}%` });
  }
  // Resolves when the picture is decoded and stands on the page.
  async function show(finding) {
    const same = shown?.frame.id === finding.frame.id && neighbour == null;
    shown = finding; neighbour = null; size = finding.frame.size;
    sheet.style.width = `${size[1]}px`; sheet.style.height = `${size[0]}px`;
    $("cut").setAttribute("viewBox", `0 0 ${size[1]} ${size[0]}`);
    $("frame").alt = `Frame ${finding.frame.title} with the finding ${finding.label}`;
    if (!same) { $("frame").src = picture("frame", finding.frame.id); $("score").removeAttribute("src"); fit(); }
    $("mask").src = picture("mask", finding.id); over($("mask"), finding.mask_box);
    $("others").replaceChildren(...finding.others.map((o) => {
      const box = make("button", { type: "button", class: `other ${o.status}`, title: `${o.label} (${o.status})`, on: { click: () => { if (moved < 4) onOther(o.id); } } }, make("span", { class: "hidden" }, `${o.label}, ${o.status}`));
      over(box, o.box); return box;
    }));
    draw();
    await Promise.allSettled([$("frame").decode(), $("mask").decode()]);
  }
  async function showNeighbour(frame) {
    neighbour = frame?.id === shown.frame.id ? null : frame?.id ?? null;
    $("frame").src = picture("frame", neighbour ?? shown.frame.id); draw();
    await $("frame").decode().catch(() => {});
  }
  return { show, showNeighbour, fit, focus, zoom, toggle, layer, drawing, over };
}

// What the next finding needs, fetched and decoded before anybody asks for it.
const held = new Map();
export function preload(finding) {
  for (const address of [picture("frame", finding.frame.id), picture("mask", finding.id)]) {
    const known = held.get(address);
    if (known) { held.delete(address); held.set(address, known); continue; }
    const image = new Image();
    image.src = address; image.decode().catch(() => {});
    held.set(address, image);
  }
  while (held.size > 24) held.delete(held.keys().next().value);
}
