// The search page: reads the form, queries the service, shows the results.

import { get, post, readiness, setKey, takeKeyFromAddress } from "/web/api.js";
import { Detail } from "/web/detail.js";
import { Pictures, card, element, message, showVerdict, skeletons } from "/web/view.js";

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

const detail = new Detail({ judge, showVerdict, verdictOf: (cropId) => given.get(cropId) });

function query() {
  const cameras = [...find("cameras").querySelectorAll("input:checked")].map((box) => box.value);
  const moment = (id) => (find(id).value ? new Date(find(id).value).toISOString() : null);
  return {
    text: text.value,
    cameras: cameras.length ? cameras : null,
    after: moment("after"),
    before: moment("before"),
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
    const found = await post("/v1/search", query(), { signal: mine.signal });
    showAnswer(found);
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

function showAnswer(found) {
  answer = found;
  const { candidates } = found;
  const open = (position) => () => detail.open(candidates, position, pictures);
  find("grid").replaceChildren(...candidates.map((candidate, position) => card(candidate, { pictures, open: open(position), judge })));
  find("summary").textContent = summary(found);
  if (NARROW.matches) {
    find("messages").scrollIntoView({ block: "start" });
  }
  if (!candidates.length) {
    find("messages").replaceChildren(message("quiet", "No results.", "No crop in the gallery matches these filters."));
  } else if (found.no_reliable_match) {
    find("messages").replaceChildren(message("quiet", "No reliable match.",
      "None of these is likely to be the person; they are only the most similar."));
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
  find("messages").replaceChildren(message("error", "The search failed.", error.message));
}

async function judge(candidate, verdict) {
  const taken = given.get(candidate.crop_id) === verdict ? "withdrawn" : verdict;
  const body = { search_request_id: answer.request_id, crop_id: candidate.crop_id, verdict: taken };
  try {
    await post("/v1/verdicts", body);
    given.set(candidate.crop_id, taken);
    showVerdict(candidate.crop_id, taken);
  } catch (error) {
    find("messages").replaceChildren(message("error", "The verdict was not recorded.", error.message));
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
    const { cameras } = await get("/v1/cameras");
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
    search();
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
