// The candidates of a search: cards, what is said of them, and moving between them by the keyboard.

import { card, skeletons } from "./cards.js";
import { find, message, percent } from "./elements.js";
import { Pictures } from "./pictures.js";
import { Timeline } from "./timeline.js";
import { say } from "./words.js";

export class Results {
  constructor(actions) {
    this.actions = actions;
    this.grid = find("grid");
    this.candidates = [];
    this.pictures = new Pictures();
    this.timeline = new Timeline(actions);
  }

  clear() {
    this.pictures.release();
    this.pictures = new Pictures();
    this.candidates = [];
    this.grid.replaceChildren();
    this.timeline.clear();
    find("messages").replaceChildren();
    find("summary").textContent = "";
    find("pages").hidden = true;
  }

  wait(count) {
    this.clear();
    this.lay("");
    find("results").setAttribute("aria-busy", "true");
    this.grid.replaceChildren(...skeletons(count));
  }

  finish() {
    find("results").setAttribute("aria-busy", "false");
  }

  show(found, asked) {
    this.candidates = found.candidates;
    this.grid.replaceChildren(...found.candidates.map((candidate) => card(candidate, this.pictures, this.actions)));
    this.lay(asked.view);
    this.timeline.show(found.candidates, this.pictures);
    find("summary").textContent = summary(found.candidates);
    find("summary").title = origin(found);
    find("pages").hidden = !asked.cursor && !found.next;
    find("previous-page").disabled = !asked.cursor;
    find("next-page").disabled = !found.next;
    this.tell(...remarks(found, asked));
  }

  // Lays the candidates out on a time line ("times") or in the order of their rank.
  lay(view) {
    this.isTimeline = view === "times";
    find("times").hidden = !this.isTimeline;
    this.grid.hidden = this.isTimeline;
    find("times-toggle").setAttribute("aria-pressed", String(this.isTimeline));
  }

  tell(...messages) {
    find("messages").replaceChildren(...messages);
  }

  position(cropId) {
    return this.candidates.findIndex((candidate) => candidate.crop_id === cropId);
  }

  // The candidate whose card or sighting has the focus.
  get focused() {
    const item = document.activeElement?.closest?.(".card, .sighting");
    return item ? this.candidates[this.position(item.dataset.cropId)] : undefined;
  }

  focus(position) {
    if (this.isTimeline) {
      this.timeline.focus(this.candidates[position]?.crop_id);
      return;
    }
    const item = this.grid.children[Math.max(0, Math.min(position, this.candidates.length - 1))];
    item?.querySelector(".frame").focus();
    item?.scrollIntoView({ block: "nearest" });
  }

  // Moves the focus by cards to the right, or by rows down; where no card has it, to the first one.
  move({ cards = 0, rows = 0 }) {
    if (this.isTimeline) {
      this.timeline.move({ cards, rows });
      return;
    }
    const from = this.focused ? this.position(this.focused.crop_id) : null;
    this.focus(from === null ? 0 : from + cards + rows * this.#columns());
  }

  #columns() {
    const tops = [...this.grid.children].map((item) => item.offsetTop);
    return tops.filter((top) => top === tops[0]).length;
  }
}

export function isOneDescription({ text, also, without, like, picture }) {
  return Boolean(text) && !also.length && !without.length && !like && !picture;
}

function origin({ model, collection, seconds }) {
  const milliseconds = (seconds * 1000).toFixed(0);
  return say("model {name}, version {version}, collection {collection}, {milliseconds} ms", { ...model, collection, milliseconds });
}

function summary(candidates) {
  if (candidates.length === 1) {
    return say("1 candidate for a person to confirm");
  }
  const first = candidates[0]?.rank ?? 1;
  return first === 1
    ? say("{count} candidates for a person to confirm", { count: candidates.length })
    : say("Candidates {first} to {last}, for a person to confirm", { first, last: candidates.at(-1).rank });
}

function remarks(found, asked) {
  const { candidates, text_cut_after: end } = found;
  const told = candidates.length ? [remark(found, asked)] : [
    asked.cursor
      ? message("quiet", say("No more results."), say("The page before was the last one."))
      : message("quiet", say("No results."), say("No crop in the gallery matches these filters.")),
  ];
  if (end !== null) {
    const unread = [...asked.text].slice(end).join("").trim();
    told.push(message("quiet", say("The description is too long."), say("The model did not read the end: “{unread}”", { unread })));
  }
  return told.filter(Boolean);
}

// How far the order can be trusted.
function remark({ candidates, match, fitting }, asked) {
  if (match === "none") {
    const share = candidates[0].confidence;
    return message("quiet", say("No reliable match."), asked.cursor || share === null || asked.sort !== "score"
      ? say("These are only the most similar; the person may be missing.")
      : say("The first fits with an estimated {share}. These are only the most similar; the person may be missing.", { share: percent(share) }));
  }
  if (match === "many") {
    return message("quiet", say("Many fit this description."),
      say("{fitting} of the best candidates are likely to. Add details to tell them apart.", { fitting }));
  }
  if (match === null) {
    return isOneDescription(asked)
      ? message("quiet", say("No confidence."), say("This model was never calibrated: the order is by similarity alone."))
      : message("quiet", say("No confidence for this kind of search."),
        say("The order is by similarity alone. The person may be missing."));
  }
  return null;
}
