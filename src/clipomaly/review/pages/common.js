// What every page uses: elements, requests, the reviewer's name, questions, keys, messages.

export const $ = (id) => document.getElementById(id);

// Text reaches the page only as text nodes, so a stored name is never read as markup.
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, action] of Object.entries(value)) node.addEventListener(event, action);
    else if (key === "style") Object.assign(node.style, value);
    else if (value != null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c != null && c !== false));
  return node;
}

export const number = (n) => Number(n).toLocaleString("en");
export const plural = (n, one, many = one + "s") => `${number(n)} ${n === 1 ? one : many}`;
export const small = (v, digits = 2) => v == null || Number.isNaN(v) ? "–" : Number(v).toFixed(digits).replace("-", "−");
export const rgb = (c) => `rgb(${c.join(" ")})`;
export const swatch = (color) => make("span", { class: "swatch", style: { background: rgb(color) }, "aria-hidden": "true" });
export const STATUS = { open: "open", confirmed: "confirmed", rejected: "rejected", ignored: "ignored", assigned: "assigned" };
export const badge = (status) => make("span", { class: `badge ${status}` }, STATUS[status] ?? status);
export function when(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? String(text ?? "–") : date.toISOString().slice(0, 16).replace("T", " ") + " UTC";
}

// --- messages
let toastTimer = 0;
export function toast(text) {
  $("toasts").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toasts").textContent = ""; }, 4000);
}
export function alarm(text) {
  const note = make("div", { class: "alert" }, make("span", {}, text), make("button", { type: "button", class: "quiet", on: { click: () => note.remove() } }, "Dismiss"));
  $("alerts").replaceChildren(note);
}

// --- requests
let session = null;
export async function open() {
  session ??= await get("/api/session");
  return session;
}
async function answer(response) {
  if (response.ok) return response.json();
  let detail = response.statusText;
  try { detail = (await response.json()).error ?? detail; } catch { /* not JSON: the status must do */ }
  if (response.status === 401) detail = "Your sign-in ended: open the address with ?token=… again.";
  throw new Error(detail);
}
export async function get(address, parameters) {
  const query = parameters ? `?${parameters}` : "";
  return answer(await fetch(address + query, { headers: { accept: "application/json" } }));
}
// Writes go one after another, in the order of the keys: an undo never overtakes what it takes back.
let written = 0, unsaved = 0, last = Promise.resolve();
export function saving(by) {
  unsaved += by;
  document.body.toggleAttribute("data-saving", unsaved > 0);
}
export function post(address, body) {
  written += 1; saving(1);
  const mine = last.then(() => write(address, JSON.stringify(body))).finally(() => saving(-1));
  last = mine.catch(() => {}); // whoever asked tells of it; the next is sent all the same
  return mine;
}
export const afterWrites = () => last;
async function write(address, body) {
  const { csrf } = await open();
  return answer(await fetch(address, { method: "POST", headers: { "content-type": "application/json", "x-clipomaly-csrf": csrf }, body }));
}
addEventListener("beforeunload", (leaving) => { if (unsaved) leaving.preventDefault(); });
export const picture = (kind, id, parameters = "") => `/picture/${kind}/${encodeURIComponent(id)}?v=${session?.version ?? ""}${parameters}`;

// --- who reviews: asked once, kept in a cookie; ?who=… sets it too
const COOKIE = "clipomaly-reviewer";
export function reviewer() {
  const row = document.cookie.split("; ").find((c) => c.startsWith(COOKIE + "="));
  try { return row ? decodeURIComponent(row.slice(COOKIE.length + 1)) : ""; } catch { return ""; }
}
function keepReviewer(name) {
  document.cookie = `${COOKIE}=${encodeURIComponent(name)}; path=/; max-age=31536000; samesite=strict`;
  $("reviewer").textContent = name;
}
// Before anything else writes the address anew.
const address = new URL(location.href), given = address.searchParams.get("who")?.trim().slice(0, 80);
if (given) {
  keepReviewer(given); address.searchParams.delete("who"); history.replaceState(null, "", address);
}
export async function needReviewer(again = false) {
  let name = reviewer();
  while (!name || again) {
    const asked = await ask({ title: "Who reviews?", label: "Your name", value: name, options: (await open()).reviewers, must: !name, note: "It stands with your decisions and is kept in a cookie." });
    if (asked == null && name) break;
    if (asked) { name = asked.slice(0, 80); again = false; }
  }
  keepReviewer(name);
  return name;
}

// --- a question with one answer; null when it is called off. It opens at once, or what is typed next would be keys:
// `later` brings more options when they have arrived.
let asked = 0;
export function ask({ title, label, value = "", options = [], later = null, most = 120, lines = false, must = false, note = "", ok = "OK" }) {
  const dialog = $("ask"), field = lines ? $("ask-text") : $("ask-input"), other = lines ? $("ask-input") : $("ask-text");
  $("ask-title").textContent = title; $("ask-label").textContent = label; $("ask-ok").textContent = ok;
  $("ask-note").textContent = note; $("ask-note").hidden = !note; $("ask-cancel").hidden = must;
  field.hidden = false; other.hidden = true; field.value = value;
  $("ask-label").htmlFor = field.id;
  const mine = ++asked, offer = (list) => $("ask-options").replaceChildren(...[...new Set(list)].map((o) => make("option", { value: o })));
  offer(options); later?.then((more) => { if (mine === asked) offer([...options, ...more]); }, () => {}); // one may type without them
  $("ask-input").maxLength = most;
  dialog.showModal(); field.focus(); field.select();
  return new Promise((resolve) => {
    let said = null;
    const form = dialog.querySelector("form");
    const submit = () => { said = field.value.trim(); };
    const cancel = () => dialog.close();
    const enter = (e) => { if (lines && e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); form.requestSubmit(); } };
    const stay = (e) => { if (must) e.preventDefault(); };
    form.addEventListener("submit", submit); $("ask-cancel").addEventListener("click", cancel);
    field.addEventListener("keydown", enter); dialog.addEventListener("cancel", stay);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", submit); $("ask-cancel").removeEventListener("click", cancel);
      field.removeEventListener("keydown", enter); dialog.removeEventListener("cancel", stay);
      resolve(said);
    }, { once: true });
  });
}

// --- keys: {key: [what it does, action]}, in parts for the help
const bound = new Map();
export function keys(parts) {
  for (const [title, rows] of Object.entries(parts)) {
    const body = make("tbody");
    for (const [names, text, action] of rows) {
      for (const name of names.split(" ")) bound.set(name, { action, held: title === "Move" || title === "Picture" });
      if (!text) continue;
      const shown = names.split(" ").map((n) => n.replace("ArrowLeft", "←").replace("ArrowRight", "→").replace("ArrowUp", "↑").replace("ArrowDown", "↓").replace("Space", "space").replace("Escape", "Esc").replace("Shift+1", "Shift+1 … 5"));
      body.append(make("tr", {}, make("td", {}, ...shown.flatMap((k, i) => [i ? " " : null, make("kbd", {}, k)])), make("td", {}, text)));
    }
    $("help-keys").append(make("section", {}, make("h3", {}, title), make("table", {}, body)));
  }
}
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (event.shiftKey && event.code.startsWith("Digit")) return "Shift+" + event.code.slice(5);
  return event.key === " " ? "Space" : event.key;
}
addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.defaultPrevented) return;
  const at = event.target;
  if (at instanceof HTMLElement && (at.matches("input, textarea, select") || at.isContentEditable)) {
    if (event.key === "Escape") at.blur();
    return;
  }
  const key = pressed(event);
  // Space and Enter belong to the button that has the focus.
  if ((key === "Space" || key === "Enter") && at instanceof HTMLElement && at.matches("button:not([data-tile]), a, summary")) return;
  const found = key && bound.get(key);
  if (!found) return;
  event.preventDefault();
  if (found.held || !event.repeat) found.action(event); // a key that is held down decides once
});

// --- progress: how many of the findings that the filters leave are decided
export function showCounts({ parted, ...counts }) {
  const all = Object.values(counts).reduce((a, b) => a + b, 0), open = (counts.open ?? 0) + (counts.assigned ?? 0);
  $("progress").hidden = false;
  $("progress").querySelector("i").style.width = `${all ? (100 * (all - open)) / all : 0}%`;
  const text = `${number(all - open)} of ${number(all)} decided, ${number(open)} open`;
  if ($("counts").textContent !== text) $("counts").textContent = text;
  $("counts").title = "Of these filters without a status: " + Object.entries(counts).map(([k, v]) => `${number(v)} ${k}`).join(", ") + (parted ? `; ${number(parted)} more in whose place their parts are counted` : "");
}

// --- live changes: asked for every two seconds while the page is seen
export function live(question, onChange) {
  let revision = session.revision, busy = false; // from before the page's first list: nothing falls between
  const tick = async () => {
    if (document.hidden || busy) return;
    busy = true;
    try {
      const parameters = question(), before = written;
      parameters.set("after", revision);
      const news = await get("/api/live", parameters);
      revision = news.revision;
      if (written !== before) delete news.counts; // counted before what was decided here meanwhile
      onChange(news);
    } catch { /* the next tick asks again; decisions report their own failures */ } finally { busy = false; }
  };
  setInterval(tick, 2000);
  document.addEventListener("visibilitychange", tick);
  return tick;
}

$("help-button").addEventListener("click", () => $("help").showModal());
bound.set("?", { action: () => $("help").showModal() });
$("reviewer").addEventListener("click", () => needReviewer(true));
$("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next; localStorage.setItem("clipomaly-theme", next);
});
addEventListener("unhandledrejection", (event) => alarm(event.reason?.message ?? String(event.reason)));
