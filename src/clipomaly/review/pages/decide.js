// Decisions, the same on the queue and on the grid: what is asked, sent and said.

import { ask, get, make, open, plural, post, reviewer } from "./common.js";
import { readFilters } from "./filters.js";

export const REASONS = [["marking", "a marking"], ["shadow", "a shadow"], ["reflection", "a reflection"], ["known-class", "a known class"], ["artefact", "an artefact"], ["other", "something else"]];
const SAID = { confirm: "Confirmed", rename: "Renamed", reject: "Rejected", ignore: "Ignored", assign: "Assigned", comment: "Commented", split: "Marked as several things" };

export const retryKey = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");

export const asks = (kind, extra) => (["rename", "assign"].includes(kind) && !extra.name) || (kind === "comment" && !extra.comment);
// What the decision still lacks is asked; null when it is called off.
export async function complete(kind, extra, { about, suggestions = [] }) {
  if (kind === "rename" && !extra.name) {
    const later = get("/api/names").then(({ names }) => names);
    const name = await ask({ title: `Rename ${about}`, label: "The right name", options: suggestions, later, ok: "Rename" });
    return name ? { ...extra, name } : null;
  }
  if (kind === "assign" && !extra.name) {
    const name = await ask({ title: `Assign ${about}`, label: "To whom", value: reviewer(), options: (await open()).reviewers, ok: "Assign" });
    return name ? { ...extra, name } : null;
  }
  if (kind === "comment" && !extra.comment) {
    const comment = await ask({ title: `Comment on ${about}`, label: "Comment", lines: true, ok: "Comment", note: "Ctrl+Enter sends it." });
    return comment ? { ...extra, comment } : null;
  }
  return extra;
}
// The answer holds the counts of the view that the address describes.
export const send = (kind, target, extra) => post(`/api/decisions?${readFilters()}`, { kind, who: reviewer(), key: retryKey(), ...target, ...extra });
export const undo = () => post(`/api/undo?${readFilters()}`, { who: reviewer() });

export function said(kind, extra, count, label) {
  const what = count === 1 ? label : plural(count, "finding");
  const more = kind === "reject" ? `: ${REASONS.find(([r]) => r === extra.reason)?.[1] ?? extra.reason}` : kind === "rename" ? ` to ${extra.name}` : kind === "assign" ? ` to ${extra.name}` : "";
  return `${SAID[kind]} ${what}${more}. Undo with u.`;
}
export function describe(decision) {
  const base = { confirm: decision.name ? `confirmed as ${decision.name}` : "confirmed", rename: `renamed to ${decision.name}`, reject: `rejected: ${REASONS.find(([r]) => r === decision.reason)?.[1] ?? decision.reason}`,
    ignore: "ignored", assign: `assigned to ${decision.name}`, comment: "commented", split: decision.parts ? `split into ${decision.parts}` : "marked as several things", undo: "undid a decision", reshape: "corrected the mask" }[decision.kind] ?? decision.kind;
  return decision.comment ? `${base}: “${decision.comment}”` : base;
}
export function reasonButtons(act) {
  return REASONS.map(([reason, text], i) => make("button", { type: "button", on: { click: () => act(reason) } }, reason === "other" ? reason : text.replace(/^an? /, ""), " ", make("kbd", {}, String(i + 1))));
}
