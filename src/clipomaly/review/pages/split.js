// Splitting a region: drag a line across it, or move and turn the line by keys; the server shows what would come out.

import { $, get, picture, plural, post, reviewer } from "./common.js";
import { retryKey } from "./decide.js";
import { readFilters } from "./filters.js";

const FAR = 20000, TURN = Math.PI / 60;

// `view` is the viewer; `done(finding, parts, counts)` is called when it is decided, `mark` when it is only marked.
export function splitter({ view, done, mark }) {
  let finding = null, line = null, timer = 0, turn = 0, busy = false;

  const text = () => line.map((v) => v.toFixed(1)).join(",");
  const say = (what) => { if ($("cut-said").textContent !== what) $("cut-said").textContent = what; };

  function begin(f) {
    finding = f;
    const [x0, y0, x1, y1] = f.box, cx = (x0 + x1) / 2, cy = (y0 + y1) / 2;
    line = x1 - x0 >= y1 - y0 ? [cx, y0 - 2, cx, y1 + 2] : [x0 - 2, cy, x1 + 2, cy];
    $("cutbar").hidden = false; $("cut").toggleAttribute("hidden", false); document.body.dataset.cutting = f.id;
    view.layer("mask", true); view.drawing(drawn);
    draw();
  }
  function end() {
    if (!finding) return;
    finding = null; turn++; clearTimeout(timer);
    $("cutbar").hidden = true; $("cut").toggleAttribute("hidden", true); $("cut-parts").hidden = true;
    delete document.body.dataset.cutting;
    view.drawing(null);
  }
  function drawn(from, to) {
    if (Math.hypot(to[0] - from[0], to[1] - from[1]) < 2) return;
    line = [...from, ...to]; draw();
  }
  function draw() {
    const [x0, y0, x1, y1] = line, length = Math.hypot(x1 - x0, y1 - y0) || 1, dx = ((x1 - x0) / length) * FAR, dy = ((y1 - y0) / length) * FAR;
    for (const stroke of $("cut").querySelectorAll("line")) {
      stroke.setAttribute("x1", x0 - dx); stroke.setAttribute("y1", y0 - dy); stroke.setAttribute("x2", x0 + dx); stroke.setAttribute("y2", y0 + dy);
    }
    clearTimeout(timer); timer = setTimeout(ask, 100);
  }
  async function ask() {
    const mine = ++turn, wanted = `line=${text()}`, path = `/api/findings/${encodeURIComponent(finding.id)}/parts`;
    try {
      const { areas, why } = await get(path, wanted);
      if (mine !== turn) return;
      if (!areas.length) { $("cut-parts").hidden = true; return say(why); }
      say(`${plural(areas.length, "part")}: ${areas.map((a) => plural(a, "pixel")).join(" and ")}`);
      const image = $("cut-parts");
      image.src = picture("parts", finding.id, `&${wanted}`); view.over(image, finding.mask_box); image.hidden = false;
    } catch (error) {
      if (mine !== turn) return;
      $("cut-parts").hidden = true; say(error.message);
    }
  }
  async function decide(byLine) {
    if (!finding || busy) return;
    const own = finding;
    busy = true; clearTimeout(timer); turn++;
    try {
      const { areas, why } = await get(`/api/findings/${encodeURIComponent(own.id)}/parts`, byLine ? `line=${text()}` : "");
      if (!areas.length) { $("cut-parts").hidden = true; return say(why); }
      const answer = await post(`/api/split?${readFilters()}`, { who: reviewer(), finding: own.id, line: byLine ? text().split(",").map(Number) : null, key: retryKey() });
      end(); await done(own, answer.parts, answer.counts);
    } catch (error) { say(error.message); } finally { busy = false; }
  }
  function move(dx, dy, far) {
    const [x0, y0, x1, y1] = finding.box, unit = Math.max(1, Math.max(x1 - x0, y1 - y0) / 100) * (far ? 8 : 1);
    line = [line[0] + dx * unit, line[1] + dy * unit, line[2] + dx * unit, line[3] + dy * unit]; draw();
  }
  function rotate(by) {
    const cx = (line[0] + line[2]) / 2, cy = (line[1] + line[3]) / 2, c = Math.cos(by), s = Math.sin(by);
    const around = (x, y) => [cx + (x - cx) * c - (y - cy) * s, cy + (x - cx) * s + (y - cy) * c];
    line = [...around(line[0], line[1]), ...around(line[2], line[3])]; draw();
  }
  const onlyMark = () => { end(); mark(); };

  // While a line is drawn its keys come first; those of the picture (zoom, layers) stay.
  const STAY = new Set(["f", "0", "+", "=", "-", "m", "s", "o", "?", "Tab", "Shift"]);
  addEventListener("keydown", (event) => {
    if (!finding || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (at instanceof HTMLElement && at.matches("input, textarea, select")) return;
    if ((event.key === "Enter" || event.key === " ") && at instanceof HTMLElement && at.matches("button, a, summary")) return;
    const far = event.shiftKey;
    const action = {
      Enter: () => decide(true), Escape: end, x: () => decide(false), p: onlyMark, "[": () => rotate(-TURN), "]": () => rotate(TURN),
      ArrowLeft: () => move(-1, 0, far), ArrowRight: () => move(1, 0, far), ArrowUp: () => move(0, -1, far), ArrowDown: () => move(0, 1, far),
    }[event.key];
    if (!action && STAY.has(event.key)) return;
    event.preventDefault(); event.stopPropagation();
    action?.();
  }, true);
  $("cut-line").addEventListener("click", () => decide(true)); $("cut-pieces").addEventListener("click", () => decide(false));
  $("cut-mark").addEventListener("click", onlyMark); $("cut-end").addEventListener("click", end);
  return { begin, end, active: () => finding != null };
}
