// Keyboard commands, and the list of them.

import { element, find } from "./elements.js";
import { say } from "./words.js";

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

// A command: { keys, words, run, within }. It works where no dialog is open, and in the dialogs of `within`.
export function listenToKeys(commands) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) {
      return;
    }
    const dialog = document.querySelector("dialog[open]");
    const isMeant = ({ keys, within = [] }) => keys.includes(event.key) && (!dialog || within.includes(dialog.id));
    const command = commands.find(isMeant);
    if (command) {
      event.preventDefault();
      command.run(event.key);
    }
  });
}

export function listKeys(commands) {
  const rows = commands.filter(({ words }) => words).map(({ keys, words }) =>
    element("tr", {}, element("th", { scope: "row" }, ...keys.map((key) => element("kbd", {}, NAMES[key] ?? key))), element("td", {}, words)));
  const closes = element("tr", {}, element("th", { scope: "row" }, element("kbd", {}, "Esc")), element("td", {}, say("close, or clear the description")));
  find("keys-list").replaceChildren(...rows, closes);
}

function isTyping(target) {
  return target.matches("textarea, select, video, input:not([type=checkbox], [type=range])");
}
