// What each run found and how far review has come.

import { $, get, keys, make, needReviewer, number, rgb, when } from "./common.js";
import { REASONS } from "./decide.js";

const KINDS = [["confirmed", "good"], ["rejected", "bad"], ["ignored", "none"], ["split", "none"], ["assigned", "warn"], ["open", "open"]];
const total = (o) => Object.values(o).reduce((a, b) => a + b, 0);
const row = (label, value, most, kind, text = number(value)) => make("div", { class: "bar-row" }, make("span", { class: "bar-label", title: label }, label), make("span", { class: "bar-track", "aria-hidden": "true" }, make("i", { class: kind, style: { width: `${most ? (100 * value) / most : 0}%` } })), make("span", { class: "num" }, text));

function histogram({ edges, groups }) {
  const kinds = { confirmed: "good", rejected: "bad", "set aside": "none", open: "open" }, n = edges.length - 1;
  const sums = Array.from({ length: n }, (_, i) => Object.values(groups).reduce((a, g) => a + g[i], 0)), most = Math.max(1, ...sums);
  const columns = sums.map((sum, i) => make("div", { class: "column", title: `${edges[i].toFixed(2)} to ${edges[i + 1].toFixed(2)}: ${number(sum)}` }, ...Object.entries(groups).map(([name, g]) => make("i", { class: kinds[name], style: { height: `${(100 * g[i]) / most}%` } }))));
  return [make("div", { class: "columns", role: "img", "aria-label": `Scores of findings: ${sums.map((s, i) => `${edges[i].toFixed(2)}: ${s}`).join(", ")}` }, ...columns),
    make("div", { class: "axis soft" }, make("span", {}, edges[0].toFixed(2)), make("span", {}, "unknown score"), make("span", {}, edges[n].toFixed(2))),
    make("p", { class: "key soft" }, ...Object.entries(kinds).map(([name, kind]) => make("span", {}, make("i", { class: `dot ${kind}`, "aria-hidden": "true" }), ` ${name} ${number(total(groups[name].reduce((a, v) => ({ n: a.n + v }), { n: 0 })))}`)))];
}
function draw(page) {
  const t = page.totals, share = t.findings ? Math.round((100 * t.decided) / t.findings) : 0;
  $("totals").replaceChildren(...[["Runs", number(t.runs)], ["Frames", number(t.frames)], ["Findings", number(t.findings)], ["Decided", `${number(t.decided)} (${share} %)`], ["Confirmed", number(t.confirmed)], ["Rejected", number(t.rejected)], ["Set aside", number(t.aside)]].map(([k, v]) => make("div", {}, make("strong", {}, v), make("span", { class: "soft" }, k))));
  $("runs").replaceChildren(page.runs.length ? make("table", {}, make("thead", {}, make("tr", {}, ["Started", "Method", "Model", "Vocabulary"].map((h) => make("th", { scope: "col" }, h)), ["Frames", "Findings"].map((h) => make("th", { scope: "col", class: "num" }, h)), make("th", { scope: "col" }, "Review"), make("th", { scope: "col" }, make("span", { class: "hidden" }, "Open")))),
    make("tbody", {}, page.runs.map((r) => { const all = total(r.status), left = r.status.open + r.status.assigned; return make("tr", {}, make("td", {}, when(r.started)), make("td", {}, r.method), make("td", { title: r.model_hash }, r.model), make("td", {}, r.vocabulary), make("td", { class: "num" }, number(r.frames)), make("td", { class: "num" }, number(r.findings)),
      make("td", {}, make("span", { class: "stack", role: "img", "aria-label": KINDS.map(([k]) => `${r.status[k]} ${k}`).join(", "), title: KINDS.map(([k]) => `${number(r.status[k])} ${k}`).join(", ") }, ...KINDS.map(([k, kind]) => make("i", { class: kind, style: { width: `${all ? (100 * r.status[k]) / all : 0}%` } }))), make("small", { class: "soft" }, ` ${number(all - left)} decided`)),
      make("td", { class: "num" }, make("a", { href: `/queue?${new URLSearchParams({ status: "open", run: r.id })}` }, "review"))); }))) : make("p", { class: "soft" }, "No run yet."));
  $("histogram").replaceChildren(...histogram(page.histogram));
  const most = Math.max(1, ...page.names.map((n) => n.findings));
  $("names").replaceChildren(...page.names.map((n) => { const r = row(n.label, n.findings, most, "open", `${number(n.findings)} (${number(n.confirmed)} confirmed)`); r.querySelector("i").style.background = rgb(n.color); return r; }));
  const busiest = Math.max(1, ...page.reviewers.map((r) => total(r.kinds)));
  $("reviewers").replaceChildren(...(page.reviewers.length ? page.reviewers.map((r) => { const b = row(r.who, total(r.kinds), busiest, "accent"); b.title = Object.entries(r.kinds).map(([k, v]) => `${number(v)} ${k.replace("_", " ")}`).join(", ") + `; last ${when(r.last)}`; return b; }) : [make("p", { class: "soft" }, "Nobody has decided anything yet.")]));
  const reasons = Object.entries(page.reasons), top = Math.max(1, ...reasons.map(([, v]) => v));
  $("reasons").replaceChildren(...(reasons.length ? reasons.map(([k, v]) => row(REASONS.find(([r]) => r === k)?.[1] ?? k, v, top, "bad")) : [make("p", { class: "soft" }, "Nothing was rejected yet.")]));
  document.body.dataset.shown = "all";
}
draw(await get("/api/statistics"));
needReviewer();
setInterval(async () => { if (!document.hidden) draw(await get("/api/statistics")); }, 10000);
keys({ Move: [["q", "to the queue", () => { location.href = "/queue"; }], ["g", "to the grid", () => { location.href = "/grid"; }], ["?", "these keys", () => $("help").showModal()]] });
