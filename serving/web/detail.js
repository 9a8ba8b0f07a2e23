// The larger view of one candidate, with its frame and the other crops of its track.

import { get } from "./api.js";
import { verdictButton } from "./cards.js";
import { cameraName, clockTime, element, find, icon, localTime, percent, utcTime } from "./elements.js";
import { Frames } from "./frames.js";
import { say } from "./words.js";

export class Detail {
  // `actions` are those of a card; `verdicts` knows what was judged; `moved(cropId)` hears who is shown, "" at the end,
  // `looked({ crop, look })` what of them: a picture of the track, the frame, the seconds around it.
  constructor({ actions, verdicts, heat, moved, looked }) {
    this.actions = actions;
    this.verdicts = verdicts;
    this.heat = heat;
    this.moved = moved;
    this.looked = looked;
    this.frames = new Frames({ chosen: (look) => this.#look({ look }) });
    this.track = [];
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
    this.#show(position, asked.crop);
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
      this.asked = { ...this.asked, crop: "" };
      this.#show(position);
      this.moved(this.candidates[position].crop_id);
    }
  }

  // Shows the picture of the track before or after the one that is shown.
  stepTrack(by) {
    const place = this.track.findIndex((crop) => crop.crop_id === this.crop.crop_id);
    const next = this.track[place + by];
    if (next) {
      this.#choose(next);
      find("detail-track").querySelector('[aria-pressed="true"]').scrollIntoView({ block: "nearest", inline: "nearest" });
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

  // `cropId` is the picture of the track that is shown, the candidate's own if it is empty.
  #show(position, cropId = "") {
    this.position = position;
    const candidate = this.candidates[position];
    find("detail-previous").disabled = position === 0;
    find("detail-next").disabled = position === this.candidates.length - 1;
    find("detail-title").textContent = say("Candidate {rank}", { rank: candidate.rank });
    find("detail-facts").replaceChildren(...facts(candidate));
    find("detail-tools").replaceChildren(...this.#tools(candidate));
    this.#tell(candidate);
    this.#enlarge(candidate);
    this.#showTrack(candidate, cropId);
  }

  #look(change) {
    this.asked = { ...this.asked, ...change };
    this.looked(change);
  }

  #tools(candidate) {
    const { judge, like, sightings } = this.actions;
    return [
      verdictButton(candidate, "confirmed", judge, { isWide: true }),
      verdictButton(candidate, "rejected", judge, { isWide: true }),
      element("button", { type: "button", class: "tool", onclick: () => like(candidate) }, icon("like"), element("span", {}, say("More like this"))),
      element("button", { type: "button", class: "tool", onclick: () => sightings(candidate) }, icon("times"), element("span", {}, say("Other sightings"))),
    ];
  }

  #enlarge(crop) {
    this.crop = crop;
    this.heat.offer(crop, this.asked);
    this.frames.show(crop, this.asked.look);
    const image = this.pictures.image(crop, { zoom: 4, id: "detail-image" });
    find("detail-image").replaceWith(image);
    this.pictures.show(image, crop.crop_id);
  }

  async #showTrack(candidate, cropId) {
    const strip = find("detail-track");
    this.track = [];
    strip.replaceChildren(element("li", { class: "small" }, say("loading …")));
    try {
      const { crops } = await get(`v1/crops?${new URLSearchParams({ camera_id: candidate.camera_id, track_id: candidate.track_id })}`);
      if (this.candidates[this.position] === candidate) {
        this.track = crops;
        strip.replaceChildren(...crops.map((crop) => this.#thumbnail(crop)));
        const shown = crops.find((crop) => crop.crop_id === cropId && cropId !== candidate.crop_id);
        if (shown) {
          this.#choose(shown);
        }
      }
    } catch (error) {
      strip.replaceChildren(element("li", { class: "small" }, error.message));
    }
  }

  #thumbnail(crop) {
    const at = localTime(crop.captured_at);
    const attributes = { type: "button", "aria-pressed": String(crop.crop_id === this.crop.crop_id), "data-crop-id": crop.crop_id, title: at };
    return element("li", {},
      element("button", { ...attributes, onclick: () => this.#choose(crop) }, this.pictures.image(crop)),
      element("small", {}, clockTime(crop.captured_at)));
  }

  #choose(crop) {
    for (const button of find("detail-track").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.cropId === crop.crop_id));
    }
    this.#look({ crop: crop.crop_id === this.candidates[this.position].crop_id ? "" : crop.crop_id });
    this.#enlarge(crop);
  }
}

export function facts(candidate) {
  const { camera_id: camera, captured_at: at, confidence, score, track_id: track, crop_id: crop, bbox: box } = candidate;
  const rows = [
    [say("Camera"), cameraName(camera)],
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
