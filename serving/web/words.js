// What the page says. Code and index.html are written in English; german.js gives the same words in German.

import { GERMAN } from "./german.js";

const STORED_LANGUAGE = "personsearch-language";
const TRANSLATED_ATTRIBUTES = ["aria-label", "placeholder", "title"];

export const LANGUAGES = { en: "English", de: "Deutsch" };
export const language = languageOf(localStorage.getItem(STORED_LANGUAGE) ?? navigator.language);
export const locale = navigator.language.startsWith(language) ? navigator.language : language;

// say("{count} candidates", { count: 3 })
export function say(english, values = {}) {
  const words = language === "de" ? (GERMAN[english] ?? english) : english;
  return words.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

// Translates what index.html says.
export function translatePage() {
  document.documentElement.lang = language;
  document.title = say(document.title);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const words = walker.currentNode.data;
    walker.currentNode.data = words.replace(words.trim(), say(words.trim()));
  }
  for (const attribute of TRANSLATED_ATTRIBUTES) {
    for (const one of document.body.querySelectorAll(`[${attribute}]`)) {
      one.setAttribute(attribute, say(one.getAttribute(attribute)));
    }
  }
}

export function chooseLanguage(chosen) {
  localStorage.setItem(STORED_LANGUAGE, chosen);
  location.reload();
}

function languageOf(tag) {
  const name = tag.slice(0, 2).toLowerCase();
  return name in LANGUAGES ? name : "en";
}
