// The browser: its controls, and drawing what the address says.
let drawing = 0;
let listed = "";

function fill(select, options) {
  const every = select.options.length && select.options[0].value === "" ? [select.options[0]] : [];
  select.replaceChildren(...every, ...options.map(([value, label]) => {
    const option = element("option", "", label);
    option.value = value;
    return option;
  }));
}

function some(name, values) {
  const select = byId("by-" + name);
  fill(select, values);
  select.parentElement.hidden = values.length < 2;
}

function fillChoices(set) {
  const series = set.series.map(([key, label]) => [key, label]);
  fill(byId("by-a"), series);
  fill(byId("by-b"), series);
  for (const id of ["by-b", "swap"]) (byId(id).closest("label") || byId(id)).hidden = set.series.length < 2;
  byId("by-a").parentElement.hidden = set.series.length < 2;
  const different = (place) => [...new Set(set.questions.map((question) => question[place]))]
    .filter((value) => value !== null && value !== "").sort((a, b) => (a > b ? 1 : -1));
  some("kind", different(3).map((kind) => [kind, kind]));
  some("hops", different(4).map((hops) => [String(hops), String(hops)]));
  byId("set-note").textContent = set.note;
}

function showState(state) {
  byId("by-set").value = state.set.name;
  byId("by-a").value = state.set.series[state.a][0];
  byId("by-b").value = state.b < 0 ? "" : state.set.series[state.b][0];
  for (const name of ["kind", "hops", "failure", "stop"]) byId("by-" + name).value = state[name];
  const words = byId("by-words");
  if (document.activeElement !== words) words.value = state.words;
}

// Buttons stay the same elements, so that the focus stays where it is.
function showFlips(state, counted) {
  const box = byId("flips");
  while (box.querySelectorAll("button").length > counted.length) box.lastChild.remove();
  counted.forEach(([flip, label, count], place) => {
    let button = box.querySelectorAll("button")[place];
    if (!button) {
      button = element("button", "flip");
      button.type = "button";
      button.addEventListener("click", () => go({ flip: button.dataset.flip, page: "", q: "" }));
      box.append(button);
    }
    const signs = [...flip].map((digit) => (digit === "1" ? "✓" : "✗")).join("");
    button.dataset.flip = flip;
    button.setAttribute("aria-pressed", String(state.flip === flip));
    button.textContent = (signs ? signs + " " : "") + label + " " + count.toLocaleString("en");
  });
}

function showPager(state, first, count) {
  const last = Math.min(first + SHOWN, count);
  byId("before").disabled = first === 0;
  byId("after").disabled = last >= count;
  byId("place").textContent = count ? (first + 1) + " to " + last + " of " + count : "";
  byId("before").parentElement.hidden = count <= SHOWN;
}

function openOne(state, jump) {
  const box = [...byId("cards").children].find((card) => card.dataset.id === state.q);
  if (!box) return;
  box.open = true;
  if (jump) {
    box.scrollIntoView({ block: "start" });
    box.firstChild.focus({ preventScroll: true });
  }
}

async function draw(arrived) {
  const mine = ++drawing;
  const before = now;
  const state = stateOf(location.hash.slice(1));
  now = state;
  if (!before || before.set !== state.set) fillChoices(state.set);
  showState(state);
  const both = await Promise.all([played(state, state.a), played(state, state.b)]);
  const questions = await matching(state, both);
  if (mine !== drawing) return;
  const counted = counts(state, both, questions);
  showFlips(state, counted);
  const shown = state.flip ? questions.filter((question) => flipOf(both[0], both[1], question) === state.flip) : questions;
  const opened = state.q ? shown.findIndex((question) => state.set.questions[question][0] === state.q) : -1;
  const wanted = state.page === "" && opened >= 0 ? Math.floor(opened / SHOWN) : Number(state.page) || 0;
  const first = Math.max(0, Math.min(wanted, Math.ceil(shown.length / SHOWN) - 1)) * SHOWN;
  if (opened >= 0 && first) now.page = String(first / SHOWN);
  const list = JSON.stringify([state.number, state.a, state.b, shown.slice(first, first + SHOWN)]);
  if (list !== listed) {
    byId("cards").replaceChildren(...shown.slice(first, first + SHOWN).map((question) => drawCard(state, both, question)));
    listed = list;
  }
  byId("count").textContent = shown.length.toLocaleString("en") + " of " + state.set.questions.length.toLocaleString("en") + " questions";
  showPager(state, first, shown.length);
  openOne(state, arrived);
  document.body.dataset.drawn = String(mine);
}

function listen() {
  const form = byId("filters");
  form.addEventListener("input", (event) => {
    const name = event.target.dataset.field;
    if (name === "set") return go(stateOf(new URLSearchParams({ set: event.target.value }).toString()));
    const value = name === "a" || name === "b" ? seriesIndex(now.set, event.target.value) : event.target.value;
    go({ [name]: value, page: "", q: "" }, name === "words");
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    byId("by-words").value = "";
    go({ flip: "", kind: "", hops: "", failure: "", stop: "", words: "", page: "", q: "" });
  });
  byId("swap").addEventListener("click", () => now.b >= 0 && go({ a: now.b, b: now.a, flip: [...now.flip].reverse().join("") }));
  const turn = (by) => { const list = byId("cards"); go({ page: String((Number(now.page) || 0) + by), q: "" }); list.scrollIntoView({ block: "start" }); };
  byId("before").addEventListener("click", () => turn(-1));
  byId("after").addEventListener("click", () => turn(1));
  // A link to a section of the page has no "=", and leaves the browser as it is.
  window.addEventListener("hashchange", () => { if (!location.hash || location.hash.includes("=")) arrive(); });
}

// Following a link into the browser leads there; choosing in the browser does not move the page.
function arrive() {
  const outside = !byId("filters").closest("section").contains(document.activeElement);
  draw(outside && location.hash.includes("q="));
  if (outside && document.activeElement !== document.body) byId("episodes").focus();
}

if (page.sets.length && !("DecompressionStream" in window)) {
  byId("count").textContent = "This browser cannot open the episodes; one of 2023 or later can.";
} else if (page.sets.length) {
  fill(byId("by-set"), page.sets.map((set) => [set.name, set.name]));
  byId("by-set").parentElement.hidden = page.sets.length < 2;
  fill(byId("by-failure"), page.failures.map(([name]) => [name, name.replaceAll("_", " ")]));
  fill(byId("by-stop"), page.stops.map((stop) => [stop, stop]));
  byId("by-words").placeholder = page.deep ? "words in questions, answers, steps" : "words in questions and answers";
  listen();
  draw(location.hash.includes("q="));
}
