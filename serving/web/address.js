// A search as part of the address: reload, Back, a bookmark and a colleague's browser all lead to the same candidates.
//
// It stands after "#", which browsers send to nobody: no server's or proxy's log gets a description.

export const EMPTY = Object.freeze({
  text: "", also: [], without: [], like: "", picture: "", weight: 0.5,
  cameras: [], groups: [], after: "", before: "", dailyAfter: "", dailyBefore: "", sort: "score", grouped: true, k: 48, purpose: "",
  cursor: "", open: "", crop: "", look: "", view: "",
});

// What is looked at in the candidates of a search: the one that is open, a picture of its track, its frame, the time line.
const LOOKED_AT = { open: "", crop: "", look: "", view: "" };

let settled = Promise.resolve(); // resolved unless `back` is under way
let arrived = null;
let visits = 0; // that wait for it

export function readAddress(fragment = location.hash) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const state = {};
  for (const [name, usual] of Object.entries(EMPTY)) {
    state[name] = given.has(name) ? parsed(given.getAll(name), usual) : usual;
  }
  return state;
}

// "text=a+red+coat&cameras=junction": only what differs from the usual.
export function fragmentOf(state) {
  const given = new URLSearchParams();
  for (const [name, usual] of Object.entries(EMPTY)) {
    if (Array.isArray(usual)) {
      state[name].forEach((value) => given.append(name, value));
    } else if ((state[name] ?? usual) !== usual) {
      given.set(name, state[name]);
    }
  }
  return given.toString();
}

export function asksForSomebody({ text, like, picture }) {
  return Boolean(text || like || picture);
}

// A search with none of its candidates open.
export function unopened(state) {
  return { ...state, ...LOOKED_AT };
}

// Whether two addresses show the same candidates, whatever of them is looked at.
export function isSameSearch(one, other) {
  return fragmentOf(unopened(one)) === fragmentOf(unopened(other));
}

// `remembered` returns with the entry, and survives a reload.
export async function visit(state, remembered = null) {
  visits += 1;
  await settled;
  visits -= 1;
  history.pushState(remembered, "", addressOf(state));
}

export function replaceAddress(state, remembered = history.state) {
  history.replaceState(remembered, "", addressOf(state));
}

// Returns to the entry before; a visit that follows at once waits until that is done.
export function back() {
  settled = new Promise((resolve) => { arrived = resolve; });
  history.back();
}

// Calls back when the address has changed, unless a visit is about to change it again.
export function onArrival(callback) {
  addEventListener("popstate", () => {
    arrived?.();
    arrived = null;
    if (!visits) {
      callback();
    }
  });
}

function addressOf(state) {
  const fragment = fragmentOf(state);
  return location.pathname + location.search + (fragment && `#${fragment}`);
}

function parsed(values, usual) {
  if (Array.isArray(usual)) {
    return values;
  }
  const value = values.at(-1);
  if (typeof usual === "number") {
    return Number.isFinite(Number(value)) ? Number(value) : usual;
  }
  return typeof usual === "boolean" ? value === "true" : value;
}
