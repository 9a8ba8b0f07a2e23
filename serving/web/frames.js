// The whole frame around a crop with the person's place in it, and the seconds before and after, where there is footage.

import { objectUrl } from "./api.js";
import { cameraName, element, find, localTime } from "./elements.js";
import { say } from "./words.js";

const CLIP_SECONDS = 4; // before, and after

export class Frames {
  // `chosen(look)` hears what is shown of a candidate: "frame", "clip", or "" for the crop alone.
  constructor({ chosen }) {
    this.chosen = chosen;
    this.look = "";
    this.place = find("whole");
    for (const button of find("looks").children) {
      button.addEventListener("click", () => this.toggle(button.dataset.look));
    }
  }

  // Shows this much of a crop.
  show(crop, look) {
    this.crop = crop;
    this.look = ["frame", "clip"].includes(look) ? look : "";
    this.place.replaceChildren();
    this.#tell("");
    find("detail").dataset.look = this.look;
    for (const button of find("looks").children) {
      button.setAttribute("aria-pressed", String(button.dataset.look === this.look));
    }
    if (this.look) {
      this.#load(crop, this.look);
    }
  }

  toggle(look) {
    this.show(this.crop, this.look === look ? "" : look);
    this.chosen(this.look);
  }

  async #load(crop, look) {
    this.#tell(say("loading …"));
    try {
      const shown = look === "frame" ? await wholeFrame(crop) : await clip(crop);
      if (this.crop === crop && this.look === look) {
        this.place.replaceChildren(shown);
        this.place.scrollIntoView({ block: "nearest" }); // on a phone it is above the buttons
        this.#tell("");
      }
    } catch (error) {
      if (this.crop === crop && this.look === look) {
        find("detail").dataset.look = "";
        this.#tell(error.message);
      }
    }
  }

  #tell(words) {
    find("looks-said").textContent = words;
  }
}

// A frame as an element of the page. Its shape is the frame's own, whatever room there is.
export async function wholeFrame(crop) {
  const url = await objectUrl(pathOf(crop, "frame"));
  const words = say("Whole frame of camera {camera}, {time}", { camera: cameraName(crop.camera_id), time: localTime(crop.captured_at) });
  const image = element("img", { src: url, alt: words });
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(url);
  }
  const mark = element("span", { class: "mark", "aria-hidden": "true" });
  const { x, y, width, height } = crop.bbox;
  mark.style.left = share(x, image.naturalWidth);
  mark.style.top = share(y, image.naturalHeight);
  mark.style.width = share(width, image.naturalWidth);
  mark.style.height = share(height, image.naturalHeight);
  return element("div", { class: "whole-frame" }, image, mark);
}

async function clip(crop) {
  const url = await objectUrl(`${pathOf(crop, "clip")}?seconds=${CLIP_SECONDS}`);
  const words = say("The seconds before and after, camera {camera}, {time}", { camera: cameraName(crop.camera_id), time: localTime(crop.captured_at) });
  const moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const video = element("video", { src: url, controls: true, loop: true, playsinline: true, "aria-label": words });
  video.muted = true;
  video.autoplay = moves;
  video.addEventListener("emptied", () => URL.revokeObjectURL(url));
  return video;
}

function pathOf(crop, part) {
  return `v1/crops/${encodeURIComponent(crop.crop_id)}/${part}`;
}

function share(part, whole) {
  return `${(100 * part) / whole}%`;
}
