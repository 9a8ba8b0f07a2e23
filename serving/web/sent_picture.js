// A picture to search for. An address cannot hold it: it stays in this tab, and is sent with each search.

import { say } from "./words.js";

const MOST_BYTES = 2 ** 20; // what the service takes
const LARGEST_SIDE = 1024; // several times what a model looks at
const TYPES = ["image/jpeg", "image/png", "image/webp"];
const STORED = "personsearch-picture-";

// Keeps a file for this tab; returns the name under which an address finds it again.
export async function keepPicture(file) {
  const fitting = TYPES.includes(file.type) && file.size <= MOST_BYTES ? file : await smaller(file);
  const name = crypto.getRandomValues(new Uint32Array(2)).join("");
  try {
    sessionStorage.setItem(STORED + name, await dataUrl(fitting));
  } catch {
    forgetPictures();
    sessionStorage.setItem(STORED + name, await dataUrl(fitting));
  }
  return name;
}

// The picture in base64. Throws if it was given in another tab.
export function pictureInBase64(name) {
  return stored(name).split(",")[1];
}

export async function pictureUrl(name) {
  const bytes = Uint8Array.from(atob(pictureInBase64(name)), (character) => character.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: stored(name).match(/^data:([^;]+)/)[1] }));
}

function stored(name) {
  const url = sessionStorage.getItem(STORED + name);
  if (url === null) {
    throw new Error(say("An address does not contain the picture. Choose it again."));
  }
  return url;
}

async function smaller(file) {
  let drawing;
  try {
    drawing = await createImageBitmap(file);
  } catch {
    throw new Error(say("“{name}” is no picture that this browser can read.", { name: file.name }));
  }
  const scale = Math.min(1, LARGEST_SIDE / Math.max(drawing.width, drawing.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(drawing.width * scale), Math.round(drawing.height * scale)];
  canvas.getContext("2d").drawImage(drawing, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function forgetPictures() {
  Object.keys(sessionStorage).filter((name) => name.startsWith(STORED)).forEach((name) => sessionStorage.removeItem(name));
}
