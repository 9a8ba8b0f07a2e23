// The larger view of one candidate, with the other crops of its track.

import { get } from "./api.js";
import { describe, element, localTime, percent, utcTime, verdicts } from "./view.js";

const find = (id) => document.getElementById(id);

export class Detail {
  constructor({ judge, verdictOf, showVerdict }) {
    this.judge = judge;
    this.verdictOf = verdictOf;
    this.showVerdict = showVerdict;
    this.dialog = find("detail");
    this.candidates = [];
    this.position = 0;
    find("detail-close").addEventListener("click", () => this.dialog.close());
    find("detail-previous").addEventListener("click", () => this.#step(-1));
    find("detail-next").addEventListener("click", () => this.#step(1));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") this.#step(-1);
      if (event.key === "ArrowRight") this.#step(1);
    });
  }

  open(candidates, position, pictures) {
    this.candidates = candidates;
    this.pictures = pictures;
    this.#show(position);
    this.dialog.showModal();
  }

  #step(by) {
    const position = this.position + by;
    if (position >= 0 && position < this.candidates.length) {
      this.#show(position);
    }
  }

  #show(position) {
    this.position = position;
    const candidate = this.candidates[position];
    find("detail-previous").disabled = position === 0;
    find("detail-next").disabled = position === this.candidates.length - 1;
    find("detail-title").textContent = `Candidate ${candidate.rank}`;
    find("detail-facts").replaceChildren(...facts(candidate));
    find("detail-verdicts").replaceWith(this.#verdicts(candidate));
    this.showVerdict(candidate.crop_id, this.verdictOf(candidate.crop_id));
    this.#enlarge(candidate);
    this.#showTrack(candidate);
  }

  #verdicts(candidate) {
    const box = verdicts(candidate, this.judge);
    box.id = "detail-verdicts";
    return box;
  }

  #enlarge(crop) {
    const image = find("detail-image");
    image.alt = describe(crop);
    this.pictures.show(image, crop.crop_id);
  }

  async #showTrack(candidate) {
    const strip = find("detail-track");
    strip.replaceChildren(element("li", { class: "small" }, "loading …"));
    try {
      const { crops } = await get(`v1/crops?${new URLSearchParams({ camera_id: candidate.camera_id, track_id: candidate.track_id })}`);
      if (this.candidates[this.position] === candidate) {
        strip.replaceChildren(...crops.map((crop) => this.#thumbnail(crop, crop.crop_id === candidate.crop_id)));
      }
    } catch (error) {
      strip.replaceChildren(element("li", { class: "small" }, error.message));
    }
  }

  #thumbnail(crop, isCurrent) {
    const choose = (event) => {
      for (const other of find("detail-track").querySelectorAll("button")) {
        other.setAttribute("aria-pressed", String(other === event.currentTarget));
      }
      this.#enlarge(crop);
    };
    const attributes = { type: "button", "aria-pressed": String(isCurrent), title: localTime(crop.captured_at), onclick: choose };
    return element("li", {}, element("button", attributes, this.pictures.image(crop)));
  }
}

function facts(candidate) {
  const box = candidate.bbox;
  const rows = [
    ["Camera", candidate.camera_id],
    ["Time", localTime(candidate.captured_at)],
    ["", utcTime(candidate.captured_at)],
    ["Confidence", candidate.confidence === null ? "unknown: the model was not calibrated" : percent(candidate.confidence)],
    ["Score", candidate.score.toFixed(4)],
    ["Track", candidate.track_id],
    ["Crop", candidate.crop_id],
    ["Position in frame", `${box.width}×${box.height} px at (${box.x}, ${box.y})`],
  ];
  return rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}
