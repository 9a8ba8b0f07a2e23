// The larger view of one candidate, with the other crops of its track.

import { get } from "./api.js";
import { verdictButton } from "./cards.js";
import { describe, element, find, icon, localTime, percent, utcTime } from "./elements.js";
import { say } from "./words.js";

export class Detail {
  // `actions` are those of a card; `verdicts` knows what was judged; `moved(cropId)` hears who is shown, "" at the end.
  constructor({ actions, verdicts, heat, moved }) {
    this.actions = actions;
    this.verdicts = verdicts;
    this.heat = heat;
    this.moved = moved;
    this.dialog = find("detail");
    this.candidates = [];
    this.position = 0;
    find("detail-close").addEventListener("click", () => this.dialog.close());
    find("detail-previous").addEventListener("click", () => this.step(-1));
    find("detail-next").addEventListener("click", () => this.step(1));
    this.dialog.addEventListener("close", () => this.moved(""));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  get current() {
    return this.dialog.open ? this.candidates[this.position] : null;
  }

  // `asked` is the search that found the candidates.
  open(candidates, position, pictures, asked) {
    this.asked = asked;
    this.candidates = candidates;
    this.pictures = pictures;
    this.#show(position);
    if (!this.dialog.open) {
      this.dialog.showModal();
    }
  }

  close() {
    this.dialog.close();
  }

  step(by) {
    const position = this.position + by;
    if (position >= 0 && position < this.candidates.length) {
      this.#show(position);
      this.moved(this.candidates[position].crop_id);
    }
  }

  // Shows what has become known of the candidate since.
  refresh() {
    this.#tell(this.current);
  }

  #tell({ crop_id: cropId }) {
    find("detail-note").value = this.verdicts.note(cropId);
    this.verdicts.show(cropId);
    this.verdicts.list(cropId);
  }

  #show(position) {
    this.position = position;
    const candidate = this.candidates[position];
    find("detail-previous").disabled = position === 0;
    find("detail-next").disabled = position === this.candidates.length - 1;
    find("detail-title").textContent = say("Candidate {rank}", { rank: candidate.rank });
    find("detail-facts").replaceChildren(...facts(candidate));
    find("detail-tools").replaceChildren(...this.#tools(candidate));
    this.#tell(candidate);
    this.heat.offer(candidate, this.asked);
    this.#enlarge(candidate);
    this.#showTrack(candidate);
  }

  #tools(candidate) {
    const { judge, like } = this.actions;
    return [
      verdictButton(candidate, "confirmed", judge, { isWide: true }),
      verdictButton(candidate, "rejected", judge, { isWide: true }),
      element("button", { type: "button", class: "tool", onclick: () => like(candidate) }, icon("like"), element("span", {}, say("More like this"))),
    ];
  }

  #enlarge(crop) {
    const image = this.pictures.image(crop, { zoom: 4, id: "detail-image" });
    find("detail-image").replaceWith(image);
    this.pictures.show(image, crop.crop_id);
  }

  async #showTrack(candidate) {
    const strip = find("detail-track");
    strip.replaceChildren(element("li", { class: "small" }, say("loading …")));
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
      this.heat.offer(crop, this.asked);
    };
    const attributes = { type: "button", "aria-pressed": String(isCurrent), title: localTime(crop.captured_at), onclick: choose };
    return element("li", {}, element("button", attributes, this.pictures.image(crop)));
  }
}

export function facts(candidate) {
  const { camera_id: camera, captured_at: at, confidence, score, track_id: track, crop_id: crop, bbox: box } = candidate;
  const rows = [
    [say("Camera"), camera],
    [say("Time"), localTime(at)],
    ["UTC", utcTime(at)],
    [say("Confidence"), confidence === null ? say("none for this search") : percent(confidence)],
    [say("Score"), score.toFixed(4)],
    [say("Track"), track],
    [say("Crop"), crop],
    [say("In the frame"), say("{width}×{height} px at ({x}, {y})", box)],
  ];
  return rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}
