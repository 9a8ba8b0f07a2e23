// Candidates as cards.

import { cameraName, element, icon, localTime, percent, utcTime } from "./elements.js";
import { say } from "./words.js";

// `actions` are what can be done with a candidate: open, judge, like, choose.
export function card(candidate, pictures, actions) {
  const { rank } = candidate;
  const frame = element("button",
    { type: "button", class: "frame", onclick: () => actions.open(candidate), "aria-label": say("Open candidate {rank}", { rank }) },
    pictures.image(candidate), element("span", { class: "rank" }, String(rank)));
  const item = element("li", { class: "card" }, frame, confidence(candidate),
    element("div", { class: "about" },
      element("strong", { title: candidate.camera_id }, cameraName(candidate.camera_id)),
      element("time", { datetime: candidate.captured_at, title: utcTime(candidate.captured_at) }, localTime(candidate.captured_at))),
    element("div", { class: "said", "data-said-of": candidate.crop_id }),
    tools(candidate, actions));
  item.dataset.cropId = candidate.crop_id;
  return item;
}

export function skeletons(count) {
  return Array.from({ length: count }, () =>
    element("li", { class: "card skeleton", "aria-hidden": "true" },
      element("div", { class: "frame" }), element("div", { class: "line" }), element("div", { class: "line short" })));
}

// Confidence as a bar and a number, or the plain score where there is none.
function confidence({ confidence: share, score }) {
  const title = say("Cosine similarity of query and picture: {score}", { score: score.toFixed(4) });
  if (share === null) {
    return element("div", { class: "confidence", title }, element("span", {}, say("score {score}", { score: score.toFixed(3) })));
  }
  const label = say("confidence {share}", { share: percent(share) });
  return element("div", { class: "confidence", title },
    element("meter", { min: 0, max: 1, low: 0.34, high: 0.67, optimum: 1, value: share, "aria-label": label }),
    element("span", {}, percent(share)));
}

function tools(candidate, { judge, like, choose }) {
  const { rank } = candidate;
  return element("div", { class: "tools" },
    verdictButton(candidate, "confirmed", judge), verdictButton(candidate, "rejected", judge),
    tool("like", say("More like candidate {rank}", { rank }), () => like(candidate)),
    tool("choose", say("Choose candidate {rank}", { rank }), () => choose(candidate), { "aria-pressed": "false", "data-choose": candidate.crop_id }));
}

function tool(name, label, onclick, attributes = {}) {
  return element("button", { type: "button", class: `tool ${name}`, title: label, "aria-label": label, onclick, ...attributes }, icon(name));
}

const VERDICTS = {
  confirmed: { name: "confirm", label: (rank) => say("Confirm candidate {rank}", { rank }), word: () => say("Confirm") },
  rejected: { name: "reject", label: (rank) => say("Reject candidate {rank}", { rank }), word: () => say("Reject") },
};

export function verdictButton(candidate, verdict, judge, { isWide = false } = {}) {
  const { name, label, word } = VERDICTS[verdict];
  const words = label(candidate.rank);
  const attributes = { type: "button", class: `tool verdict ${verdict}`, title: words, "aria-label": words, "aria-pressed": "false",
    "data-verdict": verdict, "data-verdict-of": candidate.crop_id, onclick: () => judge(candidate, verdict) };
  return element("button", attributes, icon(name), isWide ? element("span", {}, word()) : null);
}

// Marks every button and card of a crop with the verdict given, which may be none.
export function showVerdict(cropId, verdict) {
  const crop = CSS.escape(cropId);
  for (const button of document.querySelectorAll(`[data-verdict-of="${crop}"]`)) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
  }
  for (const one of document.querySelectorAll(`:is(.card, .sighting)[data-crop-id="${crop}"]`)) {
    one.classList.toggle("is-rejected", verdict === "rejected");
    one.classList.toggle("is-confirmed", verdict === "confirmed");
  }
}

export function showChosen(cropId, isChosen) {
  for (const button of document.querySelectorAll(`[data-choose="${CSS.escape(cropId)}"]`)) {
    button.setAttribute("aria-pressed", String(isChosen));
    button.closest(".card")?.classList.toggle("is-chosen", isChosen);
  }
}

