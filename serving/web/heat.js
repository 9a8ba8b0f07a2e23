// Where the model sees in a crop what a description says: a map over the picture for each phrase.

import { post } from "./api.js";
import { element, find } from "./elements.js";
import { say } from "./words.js";

const STRONGEST = 0.75; // opacity of the warmest part

export class HeatMaps {
  constructor() {
    this.shown = null;
    find("heat-ask").addEventListener("click", () => this.#ask());
  }

  // Offers maps of a candidate for the words that found it; there are none for a picture alone.
  offer(candidate, { text, purpose }) {
    this.shown = { cropId: candidate.crop_id, text, purpose };
    find("heat").hidden = !text;
    find("heat-ask").hidden = false;
    find("heat-phrases").replaceChildren();
    this.hide();
  }

  hide() {
    find("heat-map")?.remove();
    find("heat-phrases").querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", "false"));
  }

  async #ask() {
    const asked = this.shown;
    find("heat-phrases").replaceChildren(element("span", { class: "small" }, say("looking …")));
    try {
      const { maps } = await post(`v1/crops/${encodeURIComponent(asked.cropId)}/heat-maps`, { text: asked.text, purpose: asked.purpose });
      if (this.shown === asked) {
        find("heat-ask").hidden = true;
        find("heat-phrases").replaceChildren(...maps.map((map) => this.#phrase(map)));
        find("heat-phrases").querySelector("button")?.click();
      }
    } catch (error) {
      find("heat-phrases").replaceChildren(element("span", { class: "small" }, error.message));
    }
  }

  #phrase({ text, heat }) {
    const show = ({ currentTarget: button }) => {
      const wasShown = button.getAttribute("aria-pressed") === "true";
      this.hide();
      if (!wasShown) {
        button.setAttribute("aria-pressed", "true");
        find("detail-image").after(drawn(heat, find("detail-image")));
      }
    };
    return element("button", { type: "button", class: "chip", "aria-pressed": "false", onclick: show }, text);
  }
}

// A canvas of the picture's size, warm where covering the picture would cost most of the similarity.
function drawn(heat, image) {
  const small = element("canvas", { width: heat[0].length, height: heat.length });
  const pen = small.getContext("2d");
  const most = Math.max(...heat.flat(), Number.EPSILON);
  heat.forEach((row, y) => row.forEach((value, x) => {
    pen.fillStyle = `rgb(255 120 0 / ${STRONGEST * Math.max(0, value / most)})`;
    pen.fillRect(x, y, 1, 1);
  }));
  const map = element("canvas", { id: "heat-map", width: image.width, height: image.height, "aria-hidden": "true" });
  map.getContext("2d").drawImage(small, 0, 0, map.width, map.height);
  return map;
}
