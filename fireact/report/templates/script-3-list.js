// Which questions are shown: what each side made of them, and the filters.
const FLIPS = [["", "all"], ["11", "both right"], ["01", "only B right"], ["10", "only A right"], ["00", "both wrong"]];
const ALONE = [["", "all"], ["1", "right"], ["0", "wrong"]];
const SHOWN = 50;

function outcome(series, question) {
  return series ? series.o[question] : ".";
}

function flipOf(a, b, question) {
  const both = b ? [a, b] : [a];
  const letters = both.map((series) => outcome(series, question));
  return letters.includes(".") ? "?" : letters.map((letter) => (letter === "+" ? "1" : "0")).join("");
}

function failureName(letter) {
  const found = page.failures[letter.charCodeAt(0) - 97];
  return found ? found[0].replaceAll("_", " ") : "";
}

function anySide(both, question, letters, wanted) {
  return !wanted || both.some((series) => series && series[letters][question] === wanted);
}

function textOf(set, both, question) {
  const [id, text, gold] = set.questions[question];
  const answers = both.map((series) => (series && series.a && series.a[question]) || "");
  return [id, text, gold, ...answers].join("\n").toLowerCase();
}

async function stepsText(state, question) {
  const sides = [state.a, state.b].filter((side) => side >= 0);
  const entries = await Promise.all(sides.map((side) => record(state.number, question, side)));
  return entries.flatMap((entry) => ((entry && entry[1]) || []).map((step) => step[1])).join("\n").toLowerCase();
}

async function searched(state, both, questions) {
  const words = state.words.trim().toLowerCase();
  if (!words) return questions;
  const found = await Promise.all(questions.map(async (question) =>
    textOf(state.set, both, question).includes(words) ||
    (page.deep && (await stepsText(state, question)).includes(words))));
  return questions.filter((_, place) => found[place]);
}

async function matching(state, both) {
  const failure = page.failures.findIndex(([name]) => name === state.failure);
  const stop = page.stops.indexOf(state.stop);
  const letter = (index) => (index < 0 ? "" : String.fromCharCode(97 + index));
  const kept = state.set.questions.map((_, question) => question).filter((question) => {
    const [, , , kind, hops] = state.set.questions[question];
    return (!state.kind || kind === state.kind) && (!state.hops || String(hops) === state.hops) &&
      anySide(both, question, "o", letter(failure)) && anySide(both, question, "s", letter(stop)) &&
      both.some((series) => outcome(series, question) !== ".");
  });
  return searched(state, both, kept);
}

function counts(state, both, questions) {
  const found = new Map();
  for (const question of questions) {
    const flip = flipOf(both[0], both[1], question);
    found.set(flip, (found.get(flip) || 0) + 1);
  }
  found.set("", questions.length);
  return (state.b >= 0 ? FLIPS : ALONE).map(([flip, label]) => [flip, label, found.get(flip) || 0]);
}
