// Candidates that were chosen, to be compared or reported. They stay chosen over any number of searches.

import { post } from "./api.js";
import { showChosen } from "./cards.js";
import { MOST_COMPARED } from "./compare.js";
import { cameraName, element, find, localTime } from "./elements.js";
import { say } from "./words.js";

export class Chosen {
  // `thumbnail(crop)` is an image of a crop.
  constructor({ thumbnail }) {
    this.thumbnail = thumbnail;
    this.byCrop = new Map();
    find("chosen-clear").addEventListener("click", () => this.clear());
    find("report-open").addEventListener("click", () => this.openReport());
    find("report-close").addEventListener("click", () => find("report").close());
    find("report-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#report();
    });
    this.#show();
  }

  // `search` is the id of the search that showed the candidate.
  toggle(candidate, search) {
    if (!this.byCrop.delete(candidate.crop_id)) {
      this.byCrop.set(candidate.crop_id, { candidate, search });
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
    return [...this.byCrop.values()].map(({ candidate }) => candidate);
  }

  canCompare() {
    return this.byCrop.size >= 2 && this.byCrop.size <= MOST_COMPARED;
  }

  openReport() {
    if (this.byCrop.size) {
      find("report-purpose").value ||= find("purpose").value;
      find("report-wrong").hidden = true;
      find("report-list").replaceChildren(...this.candidates().map((candidate) => this.#row(candidate)));
      find("report").showModal();
    }
  }

  #row(candidate) {
    return element("li", {}, this.thumbnail(candidate), element("span", {}, cameraName(candidate.camera_id)), element("small", {}, localTime(candidate.captured_at)));
  }

  async #report() {
    const candidates = [...this.byCrop.values()].map(({ candidate, search }) => ({ search_request_id: search, crop_id: candidate.crop_id }));
    const body = { purpose: find("report-purpose").value, note: find("report-note").value, candidates };
    try {
      save(await post("v1/reports", body, { read: (response) => response.blob() }), `report-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "")}.zip`);
      find("report").close();
    } catch (error) {
      find("report-wrong").textContent = error.message;
      find("report-wrong").hidden = false;
    }
  }

  #show() {
    find("chosen").hidden = this.byCrop.size === 0;
    find("chosen-count").textContent = say("{count} chosen", { count: this.byCrop.size });
    find("compare-open").disabled = !this.canCompare();
  }
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
