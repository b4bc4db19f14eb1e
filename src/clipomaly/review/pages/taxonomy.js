// Names and what speaks for them; people promote, merge and reject.

import { $, alarm, ask, get, keys, make, needReviewer, number, plural, post, reviewer, swatch, toast, when } from "./common.js";
import { REASONS } from "./decide.js";

let shown = null;

async function decide(kind, name, extra = {}) {
  try {
    draw(await post("/api/taxonomy", { kind, name, who: reviewer(), ...extra }));
    toast({ promote: `Promoted ${name}: it is a known class from the next run on.`, reject: `Rejected ${name}.`, merge: `Merged ${name} into ${extra.other}.`, undo: `Took back the latest decision about ${name}.` }[kind]);
    document.body.dataset.shown = `${kind} ${name}`;
  } catch (error) { alarm(error.message); }
}
async function promote(row) {
  if (!row.unmet.length) return decide("promote", row.name);
  const sure = await ask({ title: `Promote ${row.name} against the rules?`, label: "Type its name to do so", note: `It is ${row.unmet.join("; ")}. A promotion beyond the rules is recorded as such.`, ok: "Promote all the same" });
  if (sure == null) return;
  if (sure.toLowerCase() === row.name) return decide("promote", row.name, { force: true });
  toast("Not promoted: the name was not typed.");
}
async function merge(row) {
  const others = [...shown.known, ...shown.approved, ...shown.candidates].map((e) => e.name).filter((n) => n !== row.name);
  const other = await ask({ title: `Merge ${row.name}`, label: "Into which name", options: others, note: "Its findings bear the other name from then on, and it becomes a wording of it.", ok: "Merge" });
  if (other) decide("merge", row.name, { other });
}
function reject(row) {
  return make("select", { "aria-label": `Reject ${row.name} because it is`, on: { change: (e) => { const reason = e.target.value; e.target.value = ""; if (reason) decide("reject", row.name, { reason }); } } },
    make("option", { value: "" }, "Reject…"), ...REASONS.map(([value, text]) => make("option", { value }, text)));
}
const view = (name) => `/grid?${new URLSearchParams({ status: "any", name })}`;
const named = (e) => make("th", { scope: "row", class: "name" }, swatch(e.color), make("a", { href: view(e.name), title: e.label === e.name ? null : "The model's guess: nobody has confirmed it" }, e.label), e.aliases.length ? make("small", { class: "soft" }, ` also ${e.aliases.join(", ")}`) : null);
const cell = (value, more = "") => make("td", { class: `num ${more}` }, value);
function table(head, rows, empty) {
  if (!rows.length) return make("p", { class: "soft" }, empty);
  return make("table", {}, make("thead", {}, make("tr", {}, head.map(([text, kind]) => make("th", { scope: "col", class: kind ?? null }, text)))), make("tbody", {}, rows));
}
function candidates(rows) {
  return table([["Name"], ["Findings", "num"], ["Frames", "num"], ["Places", "num less"], ["Days", "num less"], ["From", "less"], ["Confirmed", "num"], ["By", "less"], ["Ready"], [make("span", { class: "hidden" }, "Decide")]],
    rows.map((e) => make("tr", { "data-name": e.name }, named(e), cell(number(e.findings)), cell(number(e.frames)), cell(number(e.places), "less"), cell(number(e.days), "less"), make("td", { class: "soft less" }, e.sources.join(", ")), cell(e.confirmed ? `${number(e.confirmed)} in ${plural(e.confirmed_frames, "frame")}` : "–"), make("td", { class: "soft less" }, e.confirmers.join(", ")),
      make("td", { class: e.unmet.length ? "soft unmet" : "ready" }, e.unmet.length ? e.lacks : "ready"),
      make("td", { class: "acts" }, make("button", { type: "button", class: e.unmet.length ? null : "primary", on: { click: () => promote(e) } }, "Promote"), make("button", { type: "button", on: { click: () => merge(e) } }, "Merge"), reject(e)))),
    "No candidates: confirm or rename findings first.");
}
function draw(page) {
  shown = page;
  $("version").textContent = `${page.vocabulary}, version ${page.version}: exported as ${page.exported}, hash ${page.hash}`;
  $("rules").textContent = `A name may be promoted when it is ${page.rules}.`;
  for (const part of ["candidates", "approved", "rejected", "known"]) $(`n-${part}`).textContent = number(page[part].length + (part === "candidates" ? page.hidden : 0));
  // Names that nobody has confirmed may be many: behind those that people work on.
  const sure = page.candidates.filter((e) => e.confirmed), unsure = page.candidates.filter((e) => !e.confirmed);
  const open = $("candidates").querySelector("details")?.open ?? !sure.length;
  $("candidates").replaceChildren(sure.length || !unsure.length ? candidates(sure) : "", unsure.length ? make("details", { open }, make("summary", {}, `${plural(unsure.length, "name")} that nobody has confirmed`), candidates(unsure)) : "", page.hidden ? make("p", { class: "soft" }, `and ${number(page.hidden)} with less evidence.`) : "");
  $("approved").replaceChildren(table([["Name"], ["Confirmed", "num"], ["By"], ["When"], [""], [make("span", { class: "hidden" }, "Decide")]],
    page.approved.map((e) => make("tr", { "data-name": e.name }, named(e), cell(plural(e.confirmed_frames, "frame")), make("td", {}, e.by), make("td", { class: "soft" }, e.at ? when(e.at) : ""), make("td", { class: "warn" }, e.forced ? "against the rules" : ""), make("td", { class: "acts" }, make("button", { type: "button", on: { click: () => decide("undo", e.name) } }, "Take back")))), "None yet."));
  $("rejected").replaceChildren(table([["Name"], ["Because"], ["By"], ["When"], [make("span", { class: "hidden" }, "Decide")]],
    page.rejected.filter((e) => e.by).map((e) => make("tr", { "data-name": e.name }, named(e), make("td", {}, e.reason), make("td", {}, e.by), make("td", { class: "soft" }, e.at ? when(e.at) : ""), make("td", { class: "acts" }, make("button", { type: "button", on: { click: () => decide("undo", e.name) } }, "Take back")))), "None by reviewers: rejected names are never proposed again."));
  const refused = page.rejected.filter((e) => !e.by);
  $("refused").replaceChildren(refused.length ? make("li", { class: "lead soft" }, "By the vocabulary:") : "", ...refused.map((e) => make("li", { title: e.reason }, e.name)));
  $("known").replaceChildren(...page.known.map((e) => make("li", {}, e.name, e.aliases.length ? make("small", { class: "soft" }, ` also ${e.aliases.join(", ")}`) : null)));
  $("changes").replaceChildren(...(page.changes.length ? page.changes.map((c) => make("li", {}, make("time", { class: "soft" }, when(c.at)), " ", make("strong", {}, c.who), " ", c.text)) : [make("li", { class: "soft" }, "None yet.")]));
}
draw(await get("/api/taxonomy"));
document.body.dataset.shown = "all";
needReviewer();
keys({ Move: [["q", "to the queue", () => { location.href = "/queue"; }], ["g", "to the grid", () => { location.href = "/grid"; }], ["?", "these keys", () => $("help").showModal()]] });
