// Candidates that were chosen, to be compared or reported.

import { showChosen } from "./cards.js";
import { MOST_COMPARED } from "./compare.js";
import { find } from "./elements.js";
import { say } from "./words.js";

export class Chosen {
  constructor() {
    this.byCrop = new Map();
    find("chosen-clear").addEventListener("click", () => this.clear());
    this.#show();
  }

  toggle(candidate) {
    if (!this.byCrop.delete(candidate.crop_id)) {
      this.byCrop.set(candidate.crop_id, candidate);
    }
    showChosen(candidate.crop_id, this.byCrop.has(candidate.crop_id));
    this.#show();
  }

  // Marks those of a page that are chosen.
  mark(candidates) {
    candidates.forEach(({ crop_id: cropId }) => showChosen(cropId, this.byCrop.has(cropId)));
  }

  clear() {
    this.candidates().forEach((candidate) => this.toggle(candidate));
  }

  candidates() {
    return [...this.byCrop.values()];
  }

  canCompare() {
    return this.byCrop.size >= 2 && this.byCrop.size <= MOST_COMPARED;
  }

  #show() {
    find("chosen").hidden = this.byCrop.size === 0;
    find("chosen-count").textContent = say("{count} chosen", { count: this.byCrop.size });
    find("compare-open").disabled = !this.canCompare();
  }
}
