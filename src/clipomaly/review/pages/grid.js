// Many findings at once: choose, then decide for all that are chosen.

import { $, alarm, badge, get, keys, live, make, needReviewer, number, open, picture, plural, reviewer, showCounts, small, swatch, toast } from "./common.js";
import { REASONS, complete, describe, said, send, undo } from "./decide.js";
import { filterBar, readFilters, runNames, totalOf } from "./filters.js";

const PAGE = 60;
let items = [], total = 0, chosen = new Set(), matching = false, last = -1, loading = false, turn = 0, bar, runs;

async function load(reset) {
  if (loading && !reset) return;
  const mine = ++turn;
  loading = true;
  if (reset) { items = []; chosen.clear(); matching = false; last = -1; }
  try {
    const filters = readFilters();
    filters.set("limit", PAGE); filters.set("offset", items.length);
    const page = await get("/api/grid", filters);
    if (mine !== turn) return;
    if (reset) $("tiles").replaceChildren();
    const have = new Set(items.map((f) => f.id)), fresh = page.findings.filter((f) => !have.has(f.id));
    const first = items.length;
    items.push(...fresh); total = page.total;
    $("tiles").append(...fresh.map((f, i) => tile(f, first + i)));
    bar.total(total); showCounts(page.counts);
    $("end").textContent = !total ? "No finding matches these filters." : items.length >= total ? "That is all." : "";
    // When the count moved under us (others decide too), the page after this may hold nothing new.
    if (!fresh.length && items.length < total) $("end").textContent = "Others have decided meanwhile; reload to see the rest.";
    drawChosen();
    document.body.dataset.shown = String(items.length);
  } finally { if (mine === turn) loading = false; }
}

function tile(f, index) {
  const run = runs(f.run);
  const button = make("button", { type: "button", "data-tile": f.id, "aria-pressed": "false", tabindex: index ? "-1" : "0", on: { click: (e) => choose(index, e.shiftKey), focus: () => roving(index), dblclick: () => visit(f.id) } },
    make("span", { class: "picture" }, make("img", { src: picture("crop", f.id), alt: "", loading: index < 24 ? "eager" : "lazy", decoding: "async" }), make("span", { class: "tick", "aria-hidden": "true" }, "✓")),
    make("span", { class: "label" }, swatch(f.color), make("span", { class: "text" }, f.label)),
    make("span", { class: "line" }, badge(f.status), make("span", { class: "soft", title: "Unknown score" }, make("span", { class: "hidden" }, "score "), small(f.score))),
    run && make("span", { class: "run soft", title: "Which run found it" }, run));
  return make("li", { "data-id": f.id }, button, make("a", { class: "go", href: `/queue?status=any&id=${encodeURIComponent(f.id)}`, tabindex: "-1", title: "Open in the queue (Enter)" }, make("span", { "aria-hidden": "true" }, "↗"), make("span", { class: "hidden" }, `Open ${f.label}`)));
}
const tiles = () => [...$("tiles").querySelectorAll("[data-tile]")];
function roving(index) { for (const b of $("tiles").querySelectorAll("[data-tile][tabindex='0']")) b.tabIndex = -1; const b = tiles()[index]; if (b) b.tabIndex = 0; last = last < 0 ? index : last; }
function focused() { const b = document.activeElement?.closest?.("[data-tile]"); return b ? tiles().indexOf(b) : -1; }
function visit(id) { location.href = `/queue?status=any&id=${encodeURIComponent(id)}`; }

function choose(index, range) {
  matching = false;
  if (range && last >= 0) for (let i = Math.min(last, index); i <= Math.max(last, index); i++) chosen.add(items[i].id);
  else if (chosen.has(items[index].id)) chosen.delete(items[index].id);
  else chosen.add(items[index].id);
  last = index; drawChosen();
}
function drawChosen() {
  for (const b of tiles()) b.setAttribute("aria-pressed", String(matching || chosen.has(b.dataset.tile)));
  const n = matching ? total : chosen.size;
  $("chosen").textContent = n ? `${number(n)} selected` : "None selected";
  $("bulk").classList.toggle("active", n > 0);
  $("choose-matching").hidden = matching || !(chosen.size && chosen.size >= items.length && total > items.length);
  $("choose-matching").textContent = `Select all ${number(total)}`;
}
function all() { for (const f of items) chosen.add(f.id); drawChosen(); }
function none() { chosen.clear(); matching = false; drawChosen(); }

async function act(kind, extra = {}) {
  const n = matching ? total : chosen.size;
  if (!n) return toast("Select findings first: click them, or press Space.");
  const one = n === 1 ? items.find((f) => chosen.has(f.id)) : null;
  const about = one?.label ?? plural(n, "finding");
  const full = await complete(kind, extra, { about, suggestions: [...new Set(items.filter((f) => chosen.has(f.id)).map((f) => f.name).filter(Boolean))] });
  if (!full) return;
  const ids = [...chosen], everything = matching;
  const target = everything ? { filter: Object.fromEntries([...new Set(readFilters().keys())].map((k) => [k, readFilters().getAll(k)])), expected: total } : { findings: ids };
  none(); // what is chosen from now on is another choice
  try {
    const done = await send(kind, target, full);
    toast(said(kind, full, done.count, about)); showCounts(done.counts);
    await refresh(everything ? null : ids);
    groups().catch(noGroups); // of what is left
  } catch (error) {
    for (const id of ids) chosen.add(id);
    matching = everything; drawChosen();
    alarm(`Not saved: ${error.message}`);
  }
}

// Tiles that left the view go; the others show their new state.
async function refresh(ids) {
  if (ids == null) return load(true);
  const filters = readFilters();
  const kept = new Map((await get("/api/grid/some", new URLSearchParams([...filters, ...ids.map((id) => ["id", id])]))).findings.map((f) => [f.id, f]));
  const at = focused();
  const gone = new Set(ids.filter((id) => !kept.has(id)));
  items = items.filter((f) => !gone.has(f.id)).map((f) => kept.get(f.id) ?? f);
  total -= gone.size;
  $("tiles").replaceChildren(...items.map(tile)); bar.total(total); drawChosen();
  if (at >= 0) tiles()[Math.min(at, items.length - 1)]?.focus();
  if (items.length < Math.min(PAGE, total)) await load(false);
  $("end").textContent = items.length ? $("end").textContent : "No finding matches these filters.";
}

async function takeBack() {
  const done = await undo();
  if (!done.undone) return toast("You have decided nothing that could be undone.");
  toast(`Undone: ${describe(done.undone)}.`); showCounts(done.counts);
  await load(true);
  groups().catch(noGroups);
}

const noGroups = (error) => { $("groups-note").textContent = error.message; };
async function groups() {
  const filters = readFilters();
  filters.delete("cluster");
  $("groups-note").textContent = "Looking for look-alikes…";
  const found = await get("/api/groups", filters);
  if (found.making) { setTimeout(() => groups().catch(noGroups), 1500); return; }
  const now = readFilters().get("cluster");
  $("groups-note").textContent = found.groups.length ? found.note : "No groups of look-alikes in this view.";
  $("group-list").replaceChildren(...found.groups.map((g) => make("li", {}, make("button", { type: "button", "aria-pressed": String(g.id === now), on: { click: () => { bar.change("cluster", g.id === readFilters().get("cluster") ? "" : g.id); } } },
    make("img", { src: picture("crop", g.sample), alt: "", loading: "lazy" }), make("span", { class: "text" }, g.name, make("small", { class: "soft" }, plural(g.size, "finding")))))));
}

// ---
const session = await open();
runs = runNames(session.facets.runs);
bar = filterBar(session.facets, () => { load(true); for (const b of $("group-list").querySelectorAll("button")) b.setAttribute("aria-pressed", "false"); groups().catch(noGroups); });
for (const [reason, text] of REASONS) $("reject-reason").append(make("option", { value: reason }, `Reject: ${text}`));
$("reject-reason").addEventListener("change", (e) => { const reason = e.target.value; e.target.value = ""; if (reason) act("reject", { reason }); });
const actions = { confirm: () => act("confirm"), rename: () => act("rename"), ignore: () => act("ignore"), assign: () => act("assign"), comment: () => act("comment"), undo: takeBack };
for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", actions[button.dataset.do]);
$("choose-all").addEventListener("click", all); $("choose-none").addEventListener("click", none);
$("choose-matching").addEventListener("click", () => { matching = true; drawChosen(); });
function move(by) {
  const list = tiles(), from = focused(), to = from < 0 ? 0 : Math.min(list.length - 1, Math.max(0, from + by));
  list[to]?.focus();
}
const across = () => { const list = tiles(); const top = list[0]?.getBoundingClientRect().top; return Math.max(1, list.findIndex((b) => b.getBoundingClientRect().top > top + 4)); };
keys({
  Select: [["Space", "select or not", () => { const i = focused(); if (i >= 0) choose(i, false); }], ["*", "select all that are shown", all], ["Escape", "select none", none], ["Enter", "open in the queue", () => { const i = focused(); if (i >= 0) visit(items[i].id); }]],
  Decide: [["c", "confirm", actions.confirm], ["r", "rename", actions.rename], ["1", "reject: a marking", () => act("reject", { reason: "marking" })], ["2", "reject: a shadow", () => act("reject", { reason: "shadow" })], ["3", "reject: a reflection", () => act("reject", { reason: "reflection" })], ["4", "reject: a known class", () => act("reject", { reason: "known-class" })], ["5", "reject: an artefact", () => act("reject", { reason: "artefact" })], ["6", "reject: something else", () => act("reject", { reason: "other" })],
    ["i", "ignore", actions.ignore], ["a", "assign", actions.assign], ["t", "comment", actions.comment], ["u", "undo my last decision", takeBack]],
  Move: [["ArrowRight", "right", () => move(1)], ["ArrowLeft", "left", () => move(-1)], ["ArrowDown", "down", () => move(across())], ["ArrowUp", "up", () => move(-across())], ["/", "filters", () => bar.focus()], ["q", "to the queue", () => { location.href = document.querySelector("[data-filters='/queue']").href; }], ["?", "these keys", () => $("help").showModal()]],
});
new IntersectionObserver((rows) => { if (rows.some((r) => r.isIntersecting) && items.length && items.length < total) load(false); }, { rootMargin: "600px" }).observe($("end"));
live(() => { const q = readFilters(); q.set("who", reviewer()); return q; }, (news) => {
  if (news.counts) { showCounts(news.counts); if (!matching) bar.total(totalOf(news.counts)); }
  for (const row of news.changed) {
    if (row.who === reviewer()) continue;
    const node = [...$("tiles").children].find((n) => n.dataset.id === row.id);
    if (!node) continue;
    const mark = node.querySelector(".badge"); mark.className = `badge ${row.status}`; mark.textContent = row.status;
    node.classList.toggle("elsewhere", row.leaves); node.title = row.leaves ? `${row.who}: ${row.text}` : "";
  }
});
await load(true);
needReviewer();
groups().catch(noGroups);
