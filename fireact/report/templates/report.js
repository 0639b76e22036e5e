"use strict";
// Episodes hold text from models and the web: it enters the page through textContent only.
const cards = JSON.parse(document.getElementById("sample").textContent);
const field = (name) => document.getElementById("by-" + name);
const value = (name) => (field(name) ? field(name).value : "");

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function verdict(side) {
  return side.right ? "right" : "wrong";
}

function drawStep([label, text]) {
  const item = element("li", "step " + label.toLowerCase());
  item.append(element("span", "label", label), element("div", "text", text));
  return item;
}

function drawSide(side) {
  const part = element("section", "side");
  part.append(element("h3", "", side.guise));
  const answer = element("p", "answer " + verdict(side));
  answer.append(element("span", "label", "Answer, " + verdict(side)), side.answer === null ? "none" : side.answer);
  part.append(answer, element("p", "effort", side.effort + " · ended by " + side.stop));
  if (side.steps === null) {
    part.append(element("p", "note", "The record of this episode is no longer in the store."));
  } else {
    const steps = element("ol", "steps");
    steps.append(...side.steps.map(drawStep));
    part.append(steps);
  }
  if (side.error) part.append(drawStep(["Error", side.error]));
  return part;
}

function drawBody(card) {
  const body = element("div", "body");
  const gold = element("p", "gold");
  gold.append(element("span", "label", "Gold answer"), card.gold);
  const sides = element("div", "sides");
  sides.append(...card.sides.map(drawSide));
  body.append(gold, sides, element("p", "effort", [card.id, card.kind].filter(Boolean).join(" · ")));
  return body;
}

function drawCard(card) {
  const box = element("details", "card");
  const line = element("summary");
  const marks = element("span", "marks");
  for (const side of card.sides) {
    marks.append(element("span", "mark " + verdict(side), (side.right ? "✓ " : "✗ ") + side.guise + " " + verdict(side)));
  }
  line.append(element("span", "question", card.question), marks);
  box.append(line);
  box.addEventListener("toggle", () => {
    if (box.open && box.childElementCount === 1) box.append(drawBody(card));
  });
  return box;
}

function onlyRight(card, guise) {
  return card.sides.length > 1 && card.sides.every((side) => side.right === (side.guise === guise));
}

function outcomeFits(card, sides, outcome) {
  if (outcome === "gained") return onlyRight(card, "fine-tuned");
  if (outcome === "lost") return onlyRight(card, "prompted");
  return sides.some((side) => !outcome || verdict(side) === outcome);
}

function fits({ card, text }) {
  const sides = card.sides.filter((side) =>
    (!value("guise") || side.guise === value("guise")) && (!value("stop") || side.stop === value("stop")));
  return sides.length > 0 && outcomeFits(card, sides, value("outcome")) &&
    (!value("kind") || card.kind === value("kind")) && text.includes(value("words").trim().toLowerCase());
}

function textOf(card) {
  const sides = card.sides.flatMap((side) => [side.answer, ...(side.steps || []).map((step) => step[1])]);
  return [card.id, card.question, card.gold, ...sides].join("\n").toLowerCase();
}

const drawn = cards.map((card) => ({ card, text: textOf(card), box: drawCard(card) }));

function filter() {
  const shown = drawn.filter((one) => {
    one.box.hidden = !fits(one);
    return !one.box.hidden;
  }).length;
  document.getElementById("count").textContent = shown + " of " + cards.length + " questions shown";
}

const filters = document.getElementById("filters");
filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(filter));
document.getElementById("cards").append(...drawn.map((one) => one.box));
filter();
