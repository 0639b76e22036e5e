// One question: its line in the list, and both sides' episodes step by step.
function sideName(state, side) {
  const label = state.set.series[side === "a" ? state.a : state.b][1];
  return state.set.series.length > 2 ? side.toUpperCase() : label;
}

function mark(state, side, series, question) {
  const letter = outcome(series, question);
  const name = sideName(state, side);
  if (letter === ".") return element("span", "mark", name + " not played");
  const right = letter === "+";
  const why = right ? "" : failureName(letter);
  const made = element("span", "mark " + (right ? "right" : "wrong"), (right ? "✓ " : "✗ ") + name);
  made.append(right ? element("span", "hidden", " right") : element("span", "why", " " + (why || "wrong")));
  return made;
}

function drawStep([label, text]) {
  const item = element("li", "step " + label.toLowerCase());
  item.append(element("span", "label", label), element("div", "text", text));
  return item;
}

function effortOf(series, question) {
  if (!series.e) return "";
  const [rounds, calls, given, written, seconds] = series.e.map((column) => column[question]);
  const told = [];
  if (rounds !== null) told.push("rounds " + rounds, "tool calls " + calls);
  if (given !== null) told.push("tokens " + given.toLocaleString("en") + " in, " + written.toLocaleString("en") + " out");
  if (seconds !== null) told.push(seconds.toFixed(1) + " s");
  return told.join(" · ");
}

function answerOf(series, question) {
  const right = outcome(series, question) === "+";
  const line = element("p", "answer " + (right ? "right" : "wrong"));
  const text = !series.a ? "stands in its record" : series.a[question] === null ? "none" : series.a[question];
  line.append(element("span", "label", "Answer, " + (right ? "right" : "wrong")), element("bdi", "", text));
  return line;
}

async function drawSide(state, side, series, question) {
  const index = side === "a" ? state.a : state.b;
  const part = element("section", "side");
  part.append(element("h4", "", sideName(state, side).length > 1 ? sideName(state, side)
    : side.toUpperCase() + ": " + state.set.series[index][1]));
  if (outcome(series, question) === ".") {
    part.append(element("p", "note", "Not played."));
    return part;
  }
  const why = failureName(outcome(series, question));
  const stop = page.stops[series.s.charCodeAt(question) - 97];
  const told = [effortOf(series, question), stop && "ended by " + stop, why && "went wrong by " + why];
  part.append(answerOf(series, question), element("p", "effort", told.filter(Boolean).join(" · ")));
  const entry = await record(state.number, question, index);
  if (entry && entry[1]) {
    const steps = element("ol", "steps");
    steps.append(...entry[1].map(drawStep));
    part.append(steps);
    if (entry[2]) part.append(drawStep(["Error", entry[2]]));
  } else {
    const where = state.set.series[index][2] + ", id " + state.set.questions[question][0];
    part.append(element("p", "note", (entry ? entry[3] + " It was in " : "The page has no room for its steps. They are in ") + where + "."));
  }
  return part;
}

async function drawBody(state, both, question) {
  const [id, , gold, kind, hops, right, tried] = state.set.questions[question];
  const body = element("div", "body");
  const golden = element("p", "gold");
  golden.append(element("span", "label", "Gold answer"), element("bdi", "", gold));
  const sides = element("div", "sides");
  const drawn = [drawSide(state, "a", both[0], question)];
  if (both[1]) drawn.push(drawSide(state, "b", both[1], question));
  sides.append(...await Promise.all(drawn));
  const facts = [id, kind, hops && hops + (hops === 1 ? " hop" : " hops"), tried > 2 && "right in " + right + " of " + tried + " series"];
  const last = element("p", "effort");
  last.append(...facts.filter(Boolean).flatMap((fact, place) => [place ? " · " : "", element("bdi", "", fact)]));
  body.append(golden, sides, last);
  return body;
}

function drawCard(state, both, question) {
  const box = element("details", "card");
  const line = element("summary");
  const marks = element("span", "marks");
  marks.append(mark(state, "a", both[0], question));
  if (both[1]) marks.append(mark(state, "b", both[1], question));
  line.append(element("span", "question", state.set.questions[question][1]), marks);
  box.append(line);
  box.dataset.id = state.set.questions[question][0];
  box.addEventListener("toggle", async () => {
    const id = box.dataset.id;
    if (box.open && box.childElementCount === 1) {
      box.append(element("p", "note", "…"));
      box.lastChild.replaceWith(await drawBody(state, both, question));
    }
    if (box.open && now.q !== id) go({ q: id });
    if (!box.open && now.q === id) go({ q: "" });
  });
  return box;
}
