// Pictures of crops: fetched with the key when they come near the viewport, never shown larger than they bear.

import { picture } from "./api.js";
import { describe, element } from "./elements.js";

const LARGEST_ZOOM = 2; // a small crop stays small: enlarged further it shows blocks, not a person

export class Pictures {
  constructor() {
    this.controller = new AbortController();
    this.urls = new Map();
    this.observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "400px" });
  }

  // `zoom` is how often its own size a picture may be shown.
  image(crop, { zoom = LARGEST_ZOOM, ...attributes } = {}) {
    const image = element("img", { class: "loading", ...attributes, alt: attributes.alt ?? describe(crop) });
    image.dataset.cropId = crop.crop_id;
    image.dataset.zoom = zoom;
    image.addEventListener("load", () => fit(image));
    this.observer.observe(image);
    return image;
  }

  async show(image, cropId) {
    if (!this.urls.has(cropId)) {
      this.urls.set(cropId, picture(cropId, { signal: this.controller.signal }));
    }
    try {
      image.src = await this.urls.get(cropId);
      image.classList.remove("loading", "missing");
    } catch (error) {
      this.urls.delete(cropId);
      if (error.name !== "AbortError") {
        image.classList.replace("loading", "missing");
        image.alt = error.message;
      }
    }
  }

  release() {
    this.controller.abort();
    this.observer.disconnect();
    for (const url of this.urls.values()) {
      url.then(URL.revokeObjectURL, () => {});
    }
  }

  #seen(entries) {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        this.observer.unobserve(target);
        this.show(target, target.dataset.cropId);
      }
    }
  }
}

// The style sheet shrinks a picture to its frame; it never grows beyond these attributes.
export function fit(image) {
  const zoom = Number(image.dataset.zoom ?? LARGEST_ZOOM);
  image.width = Math.round(image.naturalWidth * zoom);
  image.height = Math.round(image.naturalHeight * zoom);
}
