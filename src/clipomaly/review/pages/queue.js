// One finding at a time. The list of ids is held here, so the next finding waits for nothing.

import { $, afterWrites, alarm, badge, get, keys, live, make, needReviewer, number, open, picture, plural, post, reviewer, rgb, saving, showCounts, small, swatch, toast, when } from "./common.js";
import { asks, complete, describe, reasonButtons, said, send, undo } from "./decide.js";
import { filterBar, readFilters, runNames, totalOf, writeFilters } from "./filters.js";
import { splitter } from "./split.js";
import { preload, viewer } from "./viewer.js";

const PAGE = 200, AHEAD = 4, LOW = 40;
let ids = [], at = -1, total = 0, every = 0, current = null, details = new Map(), gone = new Set(), looking = {}, loading = null, turn = 0, bar, runs, clipFrames = [], clipAt = 0;

const view = viewer({ onOther: (id) => inTurn(() => jump(id)) });
const cut = splitter({ view, done: parted, mark: () => decide("split") });

// Keys are taken one after another, each about the finding that is on the screen by then: whoever types faster than
// findings arrive waits for them. A question, or a decision that was not saved, ends what was typed ahead.
let line = Promise.resolve(), waiting = 0, ahead = 0;
const fail = (error) => alarm(error.message);
function inTurn(action) {
  const mine = ahead;
  waiting += 1; saving(1); // who leaves with keys still waiting is asked
  return (line = line.then(() => { saving(-1); return mine === ahead ? action() : null; }).catch(fail).finally(() => { waiting -= 1; }));
}
function move(by) {
  if (waiting) return inTurn(() => go(by));
  line = Promise.all([line, go(by).catch(fail)]);
}

function detail(id) {
  let promise = details.get(id);
  if (!promise) {
    promise = get(`/api/findings/${encodeURIComponent(id)}`);
    promise.catch(() => details.delete(id));
    details.set(id, promise);
    if (details.size > 400) details.delete(details.keys().next().value);
  }
  return promise;
}

async function load(reset) {
  if (loading && !reset) return loading;
  const filters = readFilters(), mine = (loading = (async () => {
    filters.set("limit", PAGE);
    // Decided findings leave the view on the server: what is behind begins after those that are still in it.
    filters.set("offset", reset ? 0 : ids.filter((id) => !gone.has(id)).length);
    const page = await get("/api/queue", filters);
    if (loading !== mine) return;
    if (reset) { ids = []; gone = new Set(); at = -1; details.clear(); }
    const have = new Set(ids);
    ids.push(...page.ids.filter((id) => !have.has(id)));
    count(page.counts);
  })());
  try { await mine; } finally { if (loading === mine) loading = null; }
}

// The header and the line beside the filters tell the same moment.
function count(counts) { showCounts(counts); total = totalOf(counts); every = Object.values({ ...counts, parted: 0 }).reduce((a, b) => a + b, 0); bar.total(total); place(); }
// The list keeps what has left the view since it was opened, so that one can go back to it.
function place() {
  if (!current) return;
  const run = runs(current.run.id), left = ids.filter((id) => gone.has(id)).length, all = Math.max(total + left, ids.length);
  $("place").textContent = `${number(at + 1)} of ${number(all)} in this list${left ? ` (${number(left)} no longer ${left === 1 ? "matches" : "match"})` : ""} · ${current.frame.title.split("/").pop()}${run ? ` · ${run}` : ""}`;
}

const taken = (id) => Object.entries(looking).some(([who, finding]) => finding === id && who !== reviewer());
function seek(from, step) {
  for (let i = from + step; i >= 0 && i < ids.length; i += step) if (step < 0 || (!gone.has(ids[i]) && !taken(ids[i]))) return i;
  return -1;
}

async function go(step) {
  let next = seek(at, step);
  if (next < 0 && step > 0) { await load(false); next = seek(at, 1); }
  if (next < 0 && step > 0) next = ids.findIndex((id) => !gone.has(id) && !taken(id) && id !== current?.id);
  if (next >= 0) {
    const id = ids[next], answer = step > 0 ? claim(id) : null;
    await show(next);
    await giveWay(id, await answer);
  } else if (step > 0) (gone.has(ids[at]) || !current ? finish() : toast("This is the last finding of this view."));
  else toast("This is the first finding of this view.");
}

// Two reviewers may come to a finding at once: it is shown without waiting, and who was second goes on to the next.
// What one leaves is decided by then, or it would be free for a moment.
const claim = (looked) => afterWrites().then(() => get("/api/claim", new URLSearchParams([...readFilters(), ["looking", looked], ["who", reviewer()]]))).catch(() => null);
async function giveWay(id, answer) {
  if (!answer) return;
  looking = answer.looking;
  if (answer.free || current?.id !== id) return;
  if (!answer.there) gone.add(id);
  ahead += 1; // keys that were pressed by then were meant for this one
  await go(1);
}

async function show(index) {
  const id = ids[index], mine = ++turn, started = performance.now();
  at = index; cut.end();
  let finding;
  try { finding = await detail(id); } catch (error) {
    if (mine === turn) alarm(`Finding ${id}: ${error.message}`);
    return;
  }
  if (mine !== turn) return;
  current = finding;
  $("desk").hidden = false; $("empty").hidden = true; $("banner").hidden = true;
  draw(finding);
  const painted = view.show(finding);
  writeFilters(readFilters(), { id });
  await painted;
  if (mine !== turn) return;
  performance.measure("item", { start: started, end: performance.now(), detail: id });
  document.body.dataset.shown = id;
  if (location.hash === "#focus") view.focus();
  for (let i = seek(at, 1), n = 0; i >= 0 && n < AHEAD; i = seek(i, 1), n++) detail(ids[i]).then(preload, () => {});
  if (ids.length - at < LOW && ids.filter((i) => !gone.has(i)).length < total) load(false).catch(() => {});
  surroundings(finding, mine);
}

const guessed = (f) => f.label.endsWith("?") && f.label !== f.name;
function draw(f) {
  $("name").replaceChildren(swatch(f.color), f.label);
  $("name").title = guessed(f) ? "The model's guess: nobody has confirmed it" : "";
  $("status").className = `badge ${f.status}`; $("status").textContent = f.status + (f.assignee && f.status === "assigned" ? ` to ${f.assignee}` : "");
  const share = (100 * f.area) / (f.frame.size[0] * f.frame.size[1]);
  $("facts").textContent = `Unknown score ${small(f.score)} · ${plural(f.area, "pixel")} (${share < 0.01 ? "<0.01" : share.toFixed(2)} %)`
    + (f.named_by ? ` · ${guessed(f) ? "a guess from" : "named by"} ${f.named_by}` : "") + (f.nearest_known ? ` · nearest known class ${f.nearest_known} (${small(f.nearest_similarity)})` : "");
  const kin = (id, title) => make("button", { type: "button", on: { click: () => inTurn(() => jump(id)) } }, title);
  $("family").hidden = !(f.part_of || f.parts.length);
  $("family").replaceChildren(...(f.part_of ? ["A part of ", kin(f.part_of, "the region as found")] : []), ...(f.parts.length ? [`Split into ${plural(f.parts.length, "part")}: `, ...f.parts.map((id, i) => kin(id, `part ${i + 1}`))] : []));
  place();
  $("place").title = f.frame.title;
  $("candidates").replaceChildren(f.candidates.length ? make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Name"), make("th", { scope: "col" }, "From"), make("th", { scope: "col", class: "num" }, "Score"), make("th", { scope: "col" }, make("span", { class: "hidden" }, "Take")))),
    make("tbody", {}, f.candidates.map((c, i) => make("tr", { class: c.name === f.name ? "chosen" : null }, make("td", {}, c.name), make("td", { class: "soft" }, c.source), make("td", { class: "num" }, small(c.score, 3)),
      make("td", { class: "num" }, make("button", { type: "button", class: "mini", title: `Confirm as ${c.name}`, on: { click: () => decide("rename", { name: c.name }) } }, make("span", { class: "hidden" }, `Confirm as ${c.name}`), make("span", { "aria-hidden": "true" }, "take"), i < 5 ? make("kbd", {}, `⇧${i + 1}`) : null)))))) : make("p", { class: "soft" }, "No candidate names."));
  const rows = f.history.map((d) => make("li", { class: d.holds ? null : "undone" }, make("strong", {}, d.who), " ", describe(d), make("time", { class: "soft", title: when(d.at) }, ` ${when(d.at)}`)));
  $("history").replaceChildren(...rows); $("history-part").hidden = !rows.length;
  const pairs = [["Run", f.run.title], ["Frame", f.frame.title], ["Size", `${f.frame.size[1]} × ${f.frame.size[0]}`], ["Time", f.frame.time && when(f.frame.time)], ["Camera", f.frame.camera], ["Place", f.frame.place], ["Sequence", f.frame.sequence && `${f.frame.sequence}, ${f.frame.index}`], ...Object.entries(f.frame.conditions), ["Finding", f.id]];
  $("frame-facts").replaceChildren(...pairs.filter(([, v]) => v).map(([k, v]) => make("div", {}, make("dt", {}, k), make("dd", {}, v))));
}

// The clip and the look-alikes come after the picture stands.
async function surroundings(f, mine) {
  const path = `/api/findings/${encodeURIComponent(f.id)}`;
  const [clip, similar] = await Promise.all([get(`${path}/clip`), get(`${path}/similar`)]);
  if (mine !== turn) return;
  clipFrames = clip.frames; clipAt = clipFrames.findIndex((x) => x.id === f.frame.id);
  $("clip").hidden = clipFrames.length < 2;
  $("clip").replaceChildren(...clipFrames.map((x, i) => make("button", { type: "button", "aria-pressed": String(i === clipAt), title: x.title, on: { click: () => step(i - clipAt) } },
    make("img", { src: picture("frame", x.id, "&size=small"), alt: x.id === f.frame.id ? "This frame" : `Frame ${x.title}`, loading: "lazy" }), make("span", {}, x.id === f.frame.id ? "this frame" : signed(x, f)))));
  $("similar").replaceChildren(...(similar.findings.length ? similar.findings.map((s) => make("button", { type: "button", title: `${s.label}, similarity ${small(s.similarity)}`, on: { click: () => inTurn(() => jump(s.id)) } },
    make("img", { src: picture("crop", s.id), alt: "", loading: "lazy" }), make("span", { class: "name" }, s.label), make("span", { class: "row" }, badge(s.status), make("span", { class: "soft" }, small(s.similarity))))) : [make("p", { class: "soft" }, "None.")]));
}
function signed(x, f) {
  if (x.apart) return `${x.apart > 0 ? "+" : "−"}${Math.abs(x.apart).toFixed(1)} s`;
  const d = x.index - f.frame.index; return `${d > 0 ? "+" : "−"}${Math.abs(d)}`;
}
async function step(by) {
  const to = clipAt + by;
  if (!current || to < 0 || to >= clipFrames.length) return;
  clipAt = to;
  [...$("clip").children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === clipAt)));
  const frame = clipFrames[clipAt], own = frame.id === current.frame.id;
  $("banner").hidden = own; $("banner").textContent = own ? "" : `Another frame of the ${frame.apart == null ? "sequence" : "clip"}: ${frame.title}`;
  await view.showNeighbour(frame);
}

async function jump(id) {
  if (!ids.includes(id)) {
    try { await detail(id); } catch (error) { return alarm(error.message); }
    if (!ids.includes(id)) ids.splice(at + 1, 0, id);
  }
  await show(ids.indexOf(id));
}

function finish() {
  current = null; $("desk").hidden = true; $("empty").hidden = false; delete document.body.dataset.shown;
  const done = every > 0 && readFilters().get("status") === "open";
  $("empty-title").textContent = done ? "Nothing left here" : "Nothing found";
  $("empty-text").textContent = done ? "Every finding that these filters leave is decided, or somebody else looks at it." : "No finding matches these filters.";
}

const decide = (kind, extra) => inTurn(() => act(kind, extra));
async function act(kind, extra = {}) {
  if (!current) return;
  const finding = current;
  if (asks(kind, extra)) ahead += 1;
  const full = await complete(kind, extra, { about: finding.label, suggestions: finding.candidates.map((c) => c.name) });
  if (!full) return;
  const leaves = !["comment"].includes(kind);
  details.delete(finding.id);
  if (leaves) gone.add(finding.id);
  toast(said(kind, full, 1, finding.label));
  saved(finding.id, send(kind, { findings: [finding.id] }, full), leaves); // the next one does not wait for it
  if (leaves) await go(1);
}
async function saved(id, sent, leaves) {
  try {
    const done = await sent;
    count(done.counts);
    if (!leaves) { details.delete(id); inTurn(async () => { if (current?.id === id) await show(at); }); }
  } catch (error) {
    gone.delete(id); details.delete(id); ahead += 1;
    toast(""); alarm(`Not saved: ${error.message}`);
    inTurn(() => jump(id));
  }
}

// The parts of a region come after it, in place of those that it had before.
function adopt(id, parts) {
  const kept = ids.filter((other) => !other.startsWith(`${id}-s`) || parts.some((p) => other === p || other.startsWith(`${p}-s`)));
  const have = new Set(kept), fresh = parts.filter((p) => !have.has(p));
  if (!fresh.length && kept.length === ids.length) return;
  const here = at >= 0 ? ids[at] : null, place = kept.indexOf(id);
  if (place >= 0) kept.splice(place + 1, 0, ...fresh);
  ids = kept; at = here == null ? at : ids.indexOf(here);
  details.clear(); // what else is in the frame has changed
}
async function parted(finding, parts, counts) {
  gone.add(finding.id); count(counts);
  adopt(finding.id, parts);
  toast(`Split ${finding.label} into ${parts.length}. Undo with u.`);
  await show(ids.indexOf(parts[0]));
}

const takeBack = () => inTurn(unmake);
async function unmake() {
  const done = await undo();
  if (!done.undone) return toast("You have decided nothing that could be undone.");
  for (const id of done.undone.findings) { gone.delete(id); details.delete(id); if (done.undone.parts) adopt(id, []); }
  count(done.counts);
  toast(`Undone: ${describe(done.undone)}.`);
  if (done.undone.findings.length) await jump(done.undone.findings[0]);
}

function changed(news) {
  looking = news.looking;
  if (news.counts) count(news.counts);
  for (const row of news.changed) {
    details.delete(row.id);
    if (row.leaves) gone.add(row.id); else gone.delete(row.id);
    adopt(row.id, row.parts);
    if (row.id === current?.id && row.who !== reviewer()) {
      $("banner").hidden = false; $("banner").textContent = `${row.who}: ${row.text}`;
      detail(row.id).then((f) => { if (current?.id === f.id) { current = f; draw(f); } }, () => {});
    }
  }
}

// Who looks at what, before the first finding is chosen.
async function others() { looking = (await get("/api/live", new URLSearchParams({ who: reviewer() }))).looking; }
async function restart() {
  await Promise.all([load(true), others().catch(() => {})]);
  const wanted = new URLSearchParams(location.search).get("id");
  if (wanted) { await jump(wanted); if (current) return; }
  if (ids.length) await go(1); else finish();
}

// ---
const [session] = await Promise.all([open()]);
bar = filterBar(session.facets, () => inTurn(restart)); runs = runNames(session.facets.runs);
const start = inTurn(restart);
needReviewer();
document.querySelector(".reject").append(...reasonButtons((reason) => decide("reject", { reason })));
const divide = () => inTurn(() => { ahead += 1; cutIt(); });
$("split").addEventListener("click", divide);
function cutIt() { if (current && !current.parts.length) { view.layer("others", true); cut.begin(current); $("stage").focus(); } else if (current) toast("It is split already: its parts are decided one by one."); }
const actions = { confirm: () => decide("confirm"), rename: () => decide("rename"), ignore: () => decide("ignore"), assign: () => decide("assign"), comment: () => decide("comment"), undo: takeBack };
for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", actions[button.dataset.do]);
$("next").addEventListener("click", () => move(1)); $("previous").addEventListener("click", () => move(-1));
$("again").addEventListener("click", () => inTurn(restart)); $("clear").addEventListener("click", () => bar.clear());
const take = (i) => () => inTurn(() => { const c = current?.candidates[i]; return c && act("rename", { name: c.name }); });
keys({
  Decide: [["c Enter", "confirm", actions.confirm], ["r", "rename", actions.rename], ["Shift+1", "confirm as that candidate", take(0)], ["Shift+2", "", take(1)], ["Shift+3", "", take(2)], ["Shift+4", "", take(3)], ["Shift+5", "", take(4)],
    ["1", "reject: a marking", () => decide("reject", { reason: "marking" })], ["2", "reject: a shadow", () => decide("reject", { reason: "shadow" })], ["3", "reject: a reflection", () => decide("reject", { reason: "reflection" })], ["4", "reject: a known class", () => decide("reject", { reason: "known-class" })], ["5", "reject: an artefact", () => decide("reject", { reason: "artefact" })], ["6", "reject: something else", () => decide("reject", { reason: "other" })],
    ["p", "split: several things in one region", divide], ["i", "ignore", actions.ignore], ["a", "assign", actions.assign], ["t", "comment", actions.comment], ["u", "undo my last decision", takeBack]],
  Move: [["j ArrowRight", "next finding", () => move(1)], ["k ArrowLeft", "previous finding", () => move(-1)], ["[", "frame before, in the clip", () => step(-1)], ["]", "frame after, in the clip", () => step(1)], ["/", "filters", () => bar.focus()], ["g", "to the grid", () => { location.href = document.querySelector("[data-filters='/grid']").href; }]],
  Picture: [["m", "mask on or off", () => view.toggle("mask")], ["s", "score map on or off", () => view.toggle("score")], ["o", "other findings on or off", () => view.toggle("others")], ["f", "zoom to the finding", view.focus], ["0", "the whole frame", view.fit], ["+ =", "zoom in", () => view.zoom(1.4)], ["-", "zoom out", () => view.zoom(1 / 1.4)], ["?", "these keys", () => $("help").showModal()]],
});
live(() => { const q = readFilters(); if (current) q.set("looking", current.id); q.set("who", reviewer()); return q; }, changed);
addEventListener("pagehide", () => { fetch(`/api/live?${new URLSearchParams({ who: reviewer() })}`, { keepalive: true }).catch(() => {}); }); // it is free for others
await start;
