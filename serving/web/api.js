// Requests to the service. The key is sent only in a header: it never becomes part of a URL or outlives the tab.

import { say } from "./words.js";

const STORED_KEY = "personsearch-key";
const SERVICE = new URL("../", import.meta.url); // a proxy may serve us below a path

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// A link may carry the key after "#", which browsers do not send; the key is removed from the address at once. It does
// not replace another one unasked: whatever is searched then would be recorded under somebody else's name.
export function takeKeyFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const key = given.get("key")?.trim();
  if (given.has("key")) {
    given.delete("key");
    const rest = given.toString();
    history.replaceState(null, "", location.pathname + location.search + (rest && `#${rest}`));
  }
  const own = sessionStorage.getItem(STORED_KEY);
  if (key && (!own || own === key || confirm(say("This link has another API key. Use it in place of yours?")))) {
    setKey(key);
  }
}

export function setKey(key) {
  sessionStorage.setItem(STORED_KEY, key.trim());
}

// Paths are relative to the service: "v1/cameras".
export async function get(path, options = {}) {
  return (await request(path, options)).json();
}

// `read` takes the answer; it is JSON unless said otherwise.
export async function post(path, body, options = {}) {
  const headers = { "Content-Type": "application/json" };
  const { read = (response) => response.json(), ...others } = options;
  return read(await request(path, { ...others, method: "POST", headers, body: JSON.stringify(body) }));
}

// An object URL of a crop's image; the caller must revoke it.
export function picture(cropId, options = {}) {
  return objectUrl(`v1/crops/${encodeURIComponent(cropId)}/image`, options);
}

// The same of whatever is at a path.
export async function objectUrl(path, options = {}) {
  return URL.createObjectURL(await (await request(path, options)).blob());
}

export async function readiness() {
  const response = await fetch(new URL("readyz", SERVICE), { cache: "no-store" });
  return response.json();
}

// PATCH or DELETE; the answer's JSON, if it has any.
export async function send(method, path, body = null) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const response = await request(path, { method, headers, body: body && JSON.stringify(body) });
  return response.status === 204 ? null : response.json();
}

export async function request(path, options) {
  const headers = new Headers(options.headers);
  const key = sessionStorage.getItem(STORED_KEY);
  if (key) {
    headers.set("X-API-Key", key);
  }
  let response;
  try {
    response = await fetch(new URL(path, SERVICE), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new ApiError(0, say("The service cannot be reached. Is it running?"));
  }
  if (!response.ok) {
    throw new ApiError(response.status, await detailOf(response));
  }
  return response;
}

async function detailOf(response) {
  try {
    return (await response.json()).detail || response.statusText;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}
