// The search page: follows the address, queries the service, shows the candidates.

import { asksForSomebody, back, isSameSearch, onArrival, readAddress, replaceAddress, unopened, visit } from "./address.js";
import { get, post, readiness, setKey, takeKeyFromAddress } from "./api.js";
import { AlertsView } from "./alerts.js";
import { Chosen } from "./chosen.js";
import { Comparison } from "./compare.js";
import { Detail } from "./detail.js";
import { element, find, keep, message, nameCameras } from "./elements.js";
import { HeatMaps } from "./heat.js";
import { Searches } from "./history.js";
import { listKeys, listenToKeys } from "./keys.js";
import { Operations } from "./operations.js";
import { Pictures } from "./pictures.js";
import { QueryForm } from "./query.js";
import { Results } from "./results.js";
import { pictureInBase64 } from "./sent_picture.js";
import { TimeError } from "./times.js";
import { Verdicts } from "./verdicts.js";
import { LANGUAGES, chooseLanguage, language, say, translatePage } from "./words.js";

const EXAMPLES = [
  "a woman in a red jacket and blue jeans",
  "a man in a dark coat with a backpack",
  "a person in a light blue hooded jacket",
  "a white shirt and grey trousers",
];
const READINESS_INTERVAL = 4000;
const STORED_DENSITY = "personsearch-density";
const SKELETONS = 24;

translatePage();
const thumbnails = new Pictures();
const verdicts = new Verdicts();
const actions = { open: openDetail, judge, like: searchLike, sightings: searchSightings, choose: (candidate) => chosen.toggle(candidate, answer.request_id) };
const results = new Results(actions);
const chosen = new Chosen({ thumbnail: (crop) => thumbnails.image(crop) });
const searches = new Searches({ go: repeat, current: () => state });
const detail = new Detail({ actions, verdicts, heat: new HeatMaps(), moved: followDetail, looked: followLook });
const operations = new Operations();
const alerts = new AlertsView({ current: () => state, like: searchLike });
const comparison = new Comparison({ judge, verdicts });
const form = new QueryForm({ submit, refuse: showError, thumbnail: (cropId) => thumbnails.image({ crop_id: cropId }, { alt: "" }) });

let state = readAddress(""); // the search that is shown
let answer = null;
let running = null;

function submit() {
  let asked;
  try {
    asked = { ...form.state(), view: state.view };
  } catch (error) {
    showError(error);
    return;
  }
  if (asksForSomebody(asked)) {
    go(asked);
  } else {
    form.focus();
  }
}

// Searches, and makes that an entry of the browser's history.
function go(asked, remembered = null) {
  if (!isSameSearch(asked, readAddress())) {
    visit(asked, remembered);
  }
  return search(asked);
}

// Searches as somebody did before.
function repeat(asked) {
  form.show(asked);
  return go(asked);
}

function arrive() {
  takeKeyFromAddress();
  const asked = readAddress();
  if (isSameSearch(asked, state) && answer) {
    state = asked;
    results.lay(state.view);
    showOpen();
  } else {
    state = asked;
    detail.close();
    form.show(asked);
    search(asked);
  }
}

async function search(asked, ...remarks) {
  running?.abort();
  state = asked;
  answer = null;
  verdicts.forget();
  showMode();
  if (!asksForSomebody(asked)) {
    results.clear();
    return;
  }
  const mine = (running = new AbortController());
  results.wait(Math.min(asked.k, SKELETONS));
  scrollTo(0, 0);
  try {
    const found = await post("v1/search", requestOf(asked), { signal: mine.signal });
    showAnswer(found, remarks);
  } catch (error) {
    if (error.name !== "AbortError") {
      refuseSearch(error, asked);
    }
  } finally {
    if (running === mine) {
      running = null;
      results.finish();
    }
  }
}

function requestOf(asked) {
  const { text, also, without, like, picture, weight, cameras, groups, after, before, k, grouped, purpose, cursor } = asked;
  const hasBoth = text && (like || picture);
  return {
    text: text || null, also, without, like: like || null, image: picture ? pictureInBase64(picture) : null,
    ...(hasBoth ? { image_weight: weight } : {}),
    cameras: cameras.length ? cameras : null, camera_groups: groups.length ? groups : null,
    after: after || null, before: before || null,
    daily_after: asked.dailyAfter || null, daily_before: asked.dailyBefore || null, sort: asked.sort,
    k, group_by_track: grouped, purpose, cursor,
  };
}

function showAnswer(found, remarks) {
  answer = found;
  results.show(found, state);
  find("messages").prepend(...remarks);
  chosen.mark(found.candidates);
  showOpen();
  loadVerdicts(found);
  searches.remember(state);
}

async function loadVerdicts(found) {
  try {
    await verdicts.load(found.candidates, state);
    if (detail.current) {
      detail.refresh();
    }
  } catch (error) {
    results.tell(message("error", say("Earlier verdicts could not be loaded."), error.message));
  }
}

function showMode() {
  document.body.dataset.mode = asksForSomebody(state) ? "results" : "start";
  const words = state.text || (asksForSomebody(state) ? say("like this person") : "");
  document.title = words ? `${words} – ${say("Person search")}` : say("Person search");
}

// A page of an answer that has been replaced: its cursor belongs to another collection.
function refuseSearch(error, asked) {
  if (error.status === 422 && asked.cursor) {
    const first = { ...unopened(asked), view: asked.view, cursor: "" };
    replaceAddress(first, null);
    search(first, message("quiet", say("Another model went live."), say("This is the first page of its answer.")));
  } else {
    showError(error);
  }
}

function showError(error) {
  if (error.status === 401) {
    askForKey("", () => {
      alerts.start();
      search(state);
    });
    return;
  }
  document.body.dataset.mode = "results";
  results.clear();
  const title = error instanceof TimeError ? say("This time cannot be searched.") : say("The search failed.");
  results.tell(message("error", title, error.message));
}

function searchLike(candidate) {
  detail.close();
  repeat({ ...unopened(state), text: "", also: [], without: [], picture: "", like: candidate.crop_id, cursor: "" });
}

// The same person at all cameras, on a time line.
async function searchSightings(candidate) {
  detail.close();
  const alone = { text: "", also: [], without: [], picture: "", like: candidate.crop_id };
  await repeat({ ...unopened(state), ...alone, cameras: [], cursor: "", view: "times" });
  results.move({}); // to the first of them
}

function nextPage() {
  if (answer?.next) {
    go({ ...unopened(state), view: state.view, cursor: answer.next }, { before: [...pagesBefore(), state.cursor] });
  }
}

function previousPage() {
  if (state.cursor) {
    const before = pagesBefore();
    const cursor = before.pop() ?? "";
    go({ ...unopened(state), view: state.view, cursor }, { before });
  }
}

// Cursors of the pages before this one; unknown, and so none, in somebody else's browser.
function pagesBefore() {
  return [...(history.state?.before ?? [])];
}

function openDetail(candidate) {
  detail.open(results.candidates, results.position(candidate.crop_id), results.pictures, state);
  followDetail(candidate.crop_id);
}

// Keeps the address in step with the dialog: opening it is an entry of the history, moving inside it is none.
function followDetail(cropId) {
  if (cropId === state.open) {
    return;
  }
  const [was, isMine] = [state.open, history.state?.opened];
  state = { ...state, open: cropId, crop: "", look: cropId ? state.look : "" };
  if (!was) {
    visit(state, { ...history.state, opened: true });
  } else if (cropId || !isMine) {
    replaceAddress(state);
  } else {
    back();
  }
  if (!cropId) {
    results.focus(results.position(was));
  }
}

// Keeps the address in step with what is looked at in the dialog.
function followLook(change) {
  state = { ...state, ...change };
  replaceAddress(state);
}

function toggleTimeline() {
  state = { ...state, view: state.view === "times" ? "" : "times" };
  replaceAddress(state);
  results.lay(state.view);
}

function showOpen() {
  const position = results.position(state.open);
  if (position >= 0) {
    detail.open(results.candidates, position, results.pictures, state);
  } else {
    detail.close();
  }
}

async function judge(candidate, verdict) {
  const note = detail.current ? find("detail-note").value.trim() : verdicts.note(candidate.crop_id);
  try {
    await verdicts.judge(answer.request_id, candidate.crop_id, verdict, note);
  } catch (error) {
    results.tell(message("error", say("The verdict was not recorded."), error.message));
  }
}

function compare() {
  if (chosen.canCompare()) {
    comparison.open(chosen.candidates(), thumbnails);
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

// Loads the cameras, which tells whether the key is accepted, then whatever the address asks for.
async function begin({ isRetry = false } = {}) {
  try {
    const { cameras } = await get("v1/cameras");
    nameCameras(cameras);
    form.cameras.offer(cameras);
    alerts.start();
    if (location.hash) {
      arrive();
    } else { // what somebody has typed by now stays
      search(state);
    }
    if (!asksForSomebody(state) && document.activeElement === document.body) {
      form.focus();
    }
  } catch (error) {
    if (error.status === 401) {
      askForKey(isRetry ? say("This key is not accepted.") : "", () => begin({ isRetry: true }));
    } else {
      results.tell(message("error", say("The cameras could not be loaded."), error.message));
    }
  }
}

async function watchReadiness() {
  let dot = "down", words = say("service not reachable");
  try {
    const ready = await readiness();
    dot = ready.ready ? (ready.problem ? "worried" : "ready") : "waiting";
    words = ready.ready ? say("model version {version}", { version: ready.model_version }) : ready.problem;
    find("status-text").title = ready.problem;
  } catch { /* the service is down, which is the initial state */ }
  find("status-dot").dataset.state = dot;
  find("status-text").textContent = words;
  setTimeout(watchReadiness, READINESS_INTERVAL);
}

function setDensity(size) {
  document.body.dataset.density = size;
  keep(STORED_DENSITY, size);
  find(`density-${size}`).checked = true;
}

function onTextKey(event) {
  if (event.key === "Escape") {
    running?.abort();
    find("text").value = "";
  } else if (event.key === "ArrowDown" && results.candidates.length) {
    event.preventDefault();
    results.focus(0);
  }
}

function example(words) {
  const use = () => {
    find("text").value = words;
    submit();
  };
  return element("button", { type: "button", class: "chip", onclick: use }, words);
}

// Does something with the candidate that is open or has the focus.
function withCurrent(act) {
  return () => {
    const candidate = detail.current ?? results.focused;
    if (candidate) {
      act(candidate);
    }
  };
}

const COMMANDS = [
  { keys: ["/"], words: say("new search"), run: () => form.focus() },
  { keys: ["ArrowLeft", "ArrowRight"], words: say("candidate before, next candidate"), within: ["detail"], run: moveSideways },
  { keys: ["ArrowUp", "ArrowDown"], words: say("row above, row below; in a candidate earlier, later in the track"), within: ["detail"], run: moveUpOrDown },
  { keys: ["Enter"], words: say("open the candidate"), within: [], run: null },
  { keys: ["c"], words: say("confirm"), within: ["detail"], run: withCurrent((one) => judge(one, "confirmed")) },
  { keys: ["x"], words: say("reject"), within: ["detail"], run: withCurrent((one) => judge(one, "rejected")) },
  { keys: ["m"], words: say("more like this"), within: ["detail"], run: withCurrent(searchLike) },
  { keys: ["f"], words: say("whole frame"), within: ["detail"], run: () => detail.current && detail.frames.toggle("frame") },
  { keys: ["g"], words: say("seconds before and after"), within: ["detail"], run: () => detail.current && detail.frames.toggle("clip") },
  { keys: ["t"], words: say("time line; of a candidate, other sightings"), within: ["detail"], run: () => (detail.current ? searchSightings(detail.current) : toggleTimeline()) },
  { keys: ["s"], words: say("choose, to compare or report"), run: withCurrent(actions.choose) },
  { keys: ["v"], words: say("compare the chosen"), run: compare },
  { keys: ["r"], words: say("report the chosen"), run: () => chosen.openReport() },
  { keys: ["h"], words: say("searches of this browser"), run: () => searches.open() },
  { keys: ["n"], words: say("next page"), run: nextPage },
  { keys: ["p"], words: say("page before"), run: previousPage },
  { keys: ["o"], words: say("operations"), run: () => operations.open() },
  { keys: ["a"], words: say("alerts"), run: () => alerts.open() },
  { keys: ["?"], words: say("these keys"), run: () => find("keys-dialog").showModal() },
];

function moveSideways(key) {
  const by = key === "ArrowLeft" ? -1 : 1;
  if (detail.current) {
    detail.step(by);
  } else {
    results.move({ cards: by });
  }
}

function moveUpOrDown(key) {
  const by = key === "ArrowUp" ? -1 : 1;
  if (detail.current) {
    detail.stepTrack(by);
  } else {
    results.move({ rows: by });
  }
}

function listen() {
  find("text").addEventListener("keydown", onTextKey);
  find("skip").addEventListener("click", (event) => {
    event.preventDefault();
    find("results").focus();
  });
  find("home").addEventListener("click", (event) => {
    event.preventDefault();
    form.show(readAddress(""));
    go(readAddress(""));
    form.focus();
  });
  find("next-page").addEventListener("click", nextPage);
  find("previous-page").addEventListener("click", previousPage);
  find("times-toggle").addEventListener("click", toggleTimeline);
  find("compare-open").addEventListener("click", compare);
  find("keys-open").addEventListener("click", () => find("keys-dialog").showModal());
  find("keys-close").addEventListener("click", () => find("keys-dialog").close());
  find("density").addEventListener("change", ({ target }) => setDensity(target.value));
  find("language").addEventListener("change", ({ target }) => chooseLanguage(target.value));
  listenToKeys(COMMANDS.filter(({ run }) => run));
  onArrival(arrive);
}

takeKeyFromAddress();
find("examples").append(...EXAMPLES.map(example));
find("language").append(...Object.entries(LANGUAGES).map(([tag, name]) => new Option(name, tag, false, tag === language)));
setDensity(localStorage.getItem(STORED_DENSITY) ?? "m");
listKeys(COMMANDS);
listen();
begin();
watchReadiness();
