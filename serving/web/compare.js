// Two to four candidates side by side, large, with their frames where there is footage.

import { verdictButton } from "./cards.js";
import { element, find } from "./elements.js";
import { facts } from "./detail.js";
import { wholeFrame } from "./frames.js";
import { say } from "./words.js";

export const MOST_COMPARED = 4;

export class Comparison {
  constructor({ judge, verdicts }) {
    this.judge = judge;
    this.verdicts = verdicts;
    this.dialog = find("compare");
    find("compare-close").addEventListener("click", () => this.dialog.close());
  }

  open(candidates, pictures) {
    find("compare-list").replaceChildren(...candidates.map((candidate) => this.#column(candidate, pictures)));
    find("compare-list").dataset.count = candidates.length;
    this.dialog.showModal();
    candidates.forEach(({ crop_id: cropId }) => this.verdicts.show(cropId));
  }

  #column(candidate, pictures) {
    const frame = element("div", { class: "compare-frame small", "aria-live": "polite" }, say("loading …"));
    wholeFrame(candidate).then((shown) => frame.replaceChildren(shown), (error) => frame.replaceChildren(error.message));
    return element("li", {},
      element("h3", {}, say("Candidate {rank}", { rank: candidate.rank })),
      element("figure", { class: "large" }, pictures.image(candidate, { zoom: 4 })),
      frame,
      element("div", { class: "tools" },
        verdictButton(candidate, "confirmed", this.judge, { isWide: true }),
        verdictButton(candidate, "rejected", this.judge, { isWide: true })),
      element("dl", {}, ...facts(candidate)));
  }
}
