"use strict";
// Episodes hold text from models and the web: it enters the page through textContent only.
// What is looked at stands in the address behind the #, so that a view can be linked and the back button works:
// controls change the address, and a change of the address draws.
const byId = (id) => document.getElementById(id);
const holder = byId("data");
const page = holder ? JSON.parse(holder.textContent) : { sets: [], failures: [], stops: [] };
const FIELDS = ["flip", "kind", "hops", "failure", "stop", "words", "page", "q"];

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function seriesIndex(set, key) {
  return set.series.findIndex((series) => series[0] === key);
}

// Unknown names fall back to what the page opens with, so that an old link shows something.
function stateOf(fragment) {
  const given = new URLSearchParams(fragment);
  const number = Math.max(0, page.sets.findIndex((set) => set.name === given.get("set")));
  const set = page.sets[number];
  const [a, b] = given.has("a") ? [seriesIndex(set, given.get("a")), given.has("b") ? seriesIndex(set, given.get("b")) : -1]
    : [set.sides[0], set.sides[1] === null ? -1 : set.sides[1]];
  const state = { set, number, a: a < 0 ? set.sides[0] : a, b };
  for (const name of FIELDS) state[name] = given.get(name) || "";
  return state;
}

function fragmentOf(state) {
  const params = new URLSearchParams({ set: state.set.name, a: state.set.series[state.a][0] });
  if (state.b >= 0) params.set("b", state.set.series[state.b][0]);
  for (const name of FIELDS) if (state[name]) params.set(name, state[name]);
  return params.toString();
}

let now = null;

// `quietly`: without a step for the back button, as for each letter of a search.
function go(change, quietly) {
  const fragment = "#" + fragmentOf({ ...now, ...change });
  if (fragment === location.hash) return;
  if (quietly) location.replace(fragment);
  else location.hash = fragment;
}
