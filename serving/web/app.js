// The search page: reads the form, queries the service, shows the results.

import { get, post, readiness, setKey, takeKeyFromAddress } from "./api.js";
import { Detail } from "./detail.js";
import { TimeError, TimeField } from "./times.js";
import { Pictures, card, element, message, showVerdict, skeletons } from "./view.js";

const EXAMPLES = [
  "a woman in a red jacket and blue jeans",
  "a man in a dark coat with a backpack",
  "a person in a light blue hooded jacket",
  "a white shirt and grey trousers",
];
const READINESS_INTERVAL = 4000;
const NARROW = matchMedia("(max-width: 720px)"); // here the form fills the screen

const find = (id) => document.getElementById(id);
const form = find("search");
const text = find("text");

let pictures = new Pictures();
let running = null;
let answer = null;
let given = new Map();

const after = new TimeField(find("after"), find("after-choice"));
const before = new TimeField(find("before"), find("before-choice"));
const detail = new Detail({ judge, showVerdict, verdictOf: (cropId) => given.get(cropId) });

// Throws a TimeError if a time cannot be read.
function query() {
  const cameras = [...find("cameras").querySelectorAll("input:checked")].map((box) => box.value);
  return {
    text: text.value.trim(),
    cameras: cameras.length ? cameras : null,
    after: after.value(),
    before: before.value(),
    k: Number(find("k").value),
    group_by_track: find("grouped").checked,
    purpose: find("purpose").value,
  };
}

async function search() {
  if (!text.value.trim()) {
    text.focus();
    return;
  }
  running?.abort();
  const mine = (running = new AbortController());
  showLoading();
  try {
    const asked = checked(query());
    showAnswer(await post("v1/search", asked, { signal: mine.signal }), asked);
  } catch (error) {
    if (error.name !== "AbortError") {
      showError(error);
    }
  } finally {
    if (running === mine) {
      running = null;
      find("results").setAttribute("aria-busy", "false");
    }
  }
}

function checked(asked) {
  if (asked.after && asked.before && asked.after >= asked.before) {
    throw new TimeError("“From” must be earlier than “Until”.");
  }
  return asked;
}

function startOver() {
  pictures.release();
  pictures = new Pictures();
  given = new Map();
  answer = null;
  find("messages").replaceChildren();
  find("summary").textContent = "";
}

function showLoading() {
  startOver();
  find("results").setAttribute("aria-busy", "true");
  find("grid").replaceChildren(...skeletons(Math.min(Number(find("k").value), 12)));
}

function showAnswer(found, asked) {
  answer = found;
  const { candidates } = found;
  const open = (position) => () => detail.open(candidates, position, pictures);
  find("grid").replaceChildren(...candidates.map((candidate, position) => card(candidate, { pictures, open: open(position), judge })));
  find("summary").textContent = summary(found);
  tell(...remarks(found, asked.text));
}

function remarks({ candidates, match, fitting, text_cut_after: end }, words) {
  const told = [];
  if (!candidates.length) {
    told.push(message("quiet", "No results.", "No crop in the gallery matches these filters."));
  } else if (match === "none") {
    told.push(message("quiet", "No reliable match.",
      "None of these is likely to fit the description; they are only the most similar."));
  } else if (match === "many") {
    told.push(message("quiet", "Many fit this description.",
      `${fitting} of the best candidates are likely to. Add details to tell them apart.`));
  }
  if (end !== null) {
    const unread = [...words].slice(end).join("").trim();
    told.push(message("quiet", "The description is too long.", `The model did not read the end: “${unread}”`));
  }
  return told;
}

// Set first, then bring into view: on a phone the form fills the screen.
function tell(...messages) {
  find("messages").replaceChildren(...messages);
  if (NARROW.matches) {
    find("messages").scrollIntoView({ block: "start" });
  }
}

function summary({ candidates, collection, model, seconds, notice }) {
  const source = `model version ${model.version}, collection ${collection}`;
  const count = candidates.length === 1 ? "1 candidate" : `${candidates.length} candidates`;
  return `${count} in ${(seconds * 1000).toFixed(0)} ms · ${notice.replace(/\.$/, "")} · ${source}`;
}

function showError(error) {
  find("grid").replaceChildren();
  if (error.status === 401) {
    askForKey("", search);
    return;
  }
  const title = error instanceof TimeError ? "This time cannot be searched." : "The search failed.";
  tell(message("error", title, error.message));
}

async function judge(candidate, verdict) {
  const taken = given.get(candidate.crop_id) === verdict ? "withdrawn" : verdict;
  const body = { search_request_id: answer.request_id, crop_id: candidate.crop_id, verdict: taken };
  try {
    await post("v1/verdicts", body);
    given.set(candidate.crop_id, taken);
    showVerdict(candidate.crop_id, taken);
  } catch (error) {
    tell(message("error", "The verdict was not recorded.", error.message));
  }
}

function askForKey(wrong, then) {
  const dialog = find("key-dialog");
  find("key-wrong").textContent = wrong;
  find("key-wrong").hidden = !wrong;
  find("key").value = "";
  find("key-form").onsubmit = () => {
    setKey(find("key").value);
    then();
  };
  if (!dialog.open) {
    dialog.showModal();
  }
}

async function loadCameras({ isRetry = false } = {}) {
  try {
    const { cameras } = await get("v1/cameras");
    const chip = ({ camera_id: name, crops }) => element("label", { class: "chip", title: `${crops} crops` },
      element("input", { type: "checkbox", value: name }), element("span", {}, name));
    find("cameras").replaceChildren(...cameras.map(chip));
    find("cameras-box").hidden = cameras.length < 2;
    text.focus();
  } catch (error) {
    if (error.status === 401) {
      askForKey(isRetry ? "This key is not accepted." : "", () => loadCameras({ isRetry: true }));
    } else {
      find("messages").replaceChildren(message("error", "The cameras could not be loaded.", error.message));
    }
  }
}

async function watchReadiness() {
  let state = "down", words = "service not reachable";
  try {
    const ready = await readiness();
    state = ready.ready ? (ready.problem ? "worried" : "ready") : "waiting";
    words = ready.ready ? `model version ${ready.model_version}` : ready.problem;
    find("status-text").title = ready.problem;
  } catch { /* the service is down, which is the initial state */ }
  find("status-dot").dataset.state = state;
  find("status-text").textContent = words;
  setTimeout(watchReadiness, READINESS_INTERVAL);
}

function onKey(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !typing && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    text.select();
  } else if (event.key === "Escape" && document.activeElement === text) {
    running?.abort();
    text.value = "";
  }
}

function example(words) {
  const use = () => {
    text.value = words;
    form.requestSubmit();
  };
  return element("button", { type: "button", class: "chip", onclick: use }, words);
}

takeKeyFromAddress();
find("examples").replaceChildren(...EXAMPLES.map(example));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
document.addEventListener("keydown", onKey);
loadCameras();
watchReadiness();
