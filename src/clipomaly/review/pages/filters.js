// Filters stand in the address, so that a view can be kept and sent.

import { $, make, plural } from "./common.js";

const ORDERS = [["-score", "most unknown"], ["score", "least unknown"], ["-area", "largest"], ["area", "smallest"], ["-time", "newest"], ["time", "oldest"], ["name", "by name"]];
const PLAIN = ["status", "run", "name", "text", "min_score", "max_score", "min_area", "max_area", "since", "until", "camera", "place", "assignee", "cluster", "order"];
const LABELS = { status: "status", run: "run", name: "name", text: "text", min_score: "score from", max_score: "score to", min_area: "pixels from", max_area: "pixels to", since: "from", until: "to", camera: "camera", place: "place", assignee: "assigned to", cluster: "look-alikes", condition: "condition", order: "first" };

export function readFilters() {
  const given = new URLSearchParams(location.search), out = new URLSearchParams();
  for (const name of PLAIN) if (given.get(name)) out.set(name, given.get(name));
  for (const row of given.getAll("condition")) out.append("condition", row);
  if (!given.has("status")) out.set("status", "open");
  if (out.get("status") === "any") out.delete("status");
  return out;
}

// How many findings the view holds, by the counts of all statuses; what was split is there where it is asked for.
export function totalOf({ parted, ...counts }) {
  const wanted = readFilters().get("status")?.split(",") ?? Object.keys(counts);
  return wanted.reduce((sum, status) => sum + (counts[status] ?? 0), 0) + (readFilters().has("status") && wanted.includes("split") ? parted : 0);
}

// Runs by their number, the oldest first; one that came after the page was opened has none yet.
export function runNames(runs) {
  const names = new Map(runs.map((r, i) => [r.id, `run ${i + 1} · ${r.vocabulary}`]));
  return (id) => names.size < 2 && names.has(id) ? null : names.get(id) ?? "newer run";
}

// The address of a view: "any" says that no status was chosen on purpose.
export function writeFilters(filters, more = {}) {
  const out = new URLSearchParams(filters);
  if (!filters.get("status")) out.set("status", "any");
  for (const [key, value] of Object.entries(more)) if (value) out.set(key, value);
  history.replaceState(null, "", `${location.pathname}?${out}`);
  for (const link of document.querySelectorAll("nav a[data-filters]")) {
    const to = new URLSearchParams(out); to.delete("id");
    link.href = `${link.dataset.filters}?${to}`;
  }
}

export function filterBar(facets, onChange) {
  const bar = $("filters");
  let timer = 0;
  const current = () => readFilters();
  function change(name, value) {
    const filters = current();
    filters.delete(name);
    if (value) filters.set(name, value);
    writeFilters(filters); draw(); onChange(filters);
  }
  const field = (label, control) => make("label", {}, make("span", {}, label), control);
  function select(name, options, any = "any") {
    const value = current().get(name) ?? "";
    const rows = [["", any], ...options];
    if (value && !rows.some(([v]) => v === value)) rows.push([value, value]);
    return make("select", { name, on: { change: (e) => change(name, e.target.value) } }, ...rows.map(([v, text]) => make("option", { value: v, selected: v === value }, text)));
  }
  function input(name, type, more = {}) {
    const wait = (e) => { clearTimeout(timer); timer = setTimeout(() => change(name, e.target.value.trim()), type === "search" ? 350 : 600); };
    return make("input", { name, type, value: current().get(name) ?? "", ...more, on: { input: wait } });
  }
  const drawer = make("div", { class: "drawer", id: "drawer", hidden: true });
  const chips = make("span", { class: "chips" });
  const toggle = make("button", { type: "button", "aria-expanded": "false", "aria-controls": "drawer", on: { click: () => { drawer.hidden = !drawer.hidden; toggle.setAttribute("aria-expanded", String(!drawer.hidden)); } } }, "Filters ", make("kbd", {}, "/"));
  const total = make("span", { class: "soft total", role: "status", "aria-live": "polite" });
  bar.replaceChildren(make("div", { class: "row" }, toggle, chips, make("span", { class: "spring" }), total), drawer);

  drawer.append(
    field("Status", select("status", [["open", "open"], ["assigned", "assigned"], ["confirmed", "confirmed"], ["rejected", "rejected"], ["ignored", "ignored"], ["split", "split"]])),
    field("Text in names", input("text", "search")),
    field("First", select("order", ORDERS.slice(1), ORDERS[0][1])),
    field("Run", select("run", facets.runs.map((r, i) => [r.id, `run ${i + 1}: ${r.title}`]))),
    field("Score from", input("min_score", "number", { min: 0, step: 0.05 })), field("Score to", input("max_score", "number", { min: 0, step: 0.05 })),
    field("Pixels from", input("min_area", "number", { min: 0, step: 100 })), field("Pixels to", input("max_area", "number", { min: 0, step: 100 })),
    field("Taken from", input("since", "date")), field("Taken to", input("until", "date")),
    field("Camera", select("camera", facets.cameras.map((c) => [c, c]))),
    field("Place", select("place", facets.places.map((c) => [c, c]))),
    field("Assigned to", select("assignee", facets.assignees.map((c) => [c, c]))),
    field("Condition", select("condition", facets.conditions.map((c) => [c, c]))),
    make("button", { type: "button", on: { click: () => clear() } }, "Clear all"));

  function clear() { writeFilters(new URLSearchParams({ status: "open" })); sync(); draw(); onChange(current()); }
  function sync() {
    const filters = current();
    for (const control of drawer.querySelectorAll("[name]")) control.value = filters.get(control.name) ?? "";
  }
  const runs = runNames(facets.runs);
  const told = (name, value) => name === "order" ? ORDERS.find(([v]) => v === value)?.[1] ?? value : name === "run" ? runs(value)?.replace("run ", "") ?? "the only one" : value;
  function draw() {
    const filters = current();
    chips.replaceChildren(...[...filters].map(([name, value]) => make("button", { type: "button", class: "chip", title: "Take this filter away", on: { click: () => { change(name, ""); sync(); } } },
      `${LABELS[name] ?? name}: ${told(name, value)}`, make("span", { "aria-hidden": "true" }, " ×"))));
  }
  writeFilters(current(), { id: new URLSearchParams(location.search).get("id") }); draw();
  return {
    change: (name, value) => { change(name, value); sync(); }, clear,
    focus: () => { drawer.hidden = false; toggle.setAttribute("aria-expanded", "true"); drawer.querySelector("[name=text]").focus(); },
    total: (n) => { const text = `${plural(n, "finding")} ${n === 1 ? "matches" : "match"} these filters`; if (total.textContent !== text) total.textContent = text; },
  };
}
