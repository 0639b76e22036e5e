// The heads of a table sort it, together with the rows behind its fold.
function valueOf(row, column) {
  const cell = row.cells[column];
  return "order" in cell.dataset ? cell.dataset.order : cell.textContent.trim();
}

function compareRows(column, sign) {
  return (first, second) => {
    const [a, b] = [valueOf(first, column), valueOf(second, column)];
    const [x, y] = [Number(a), Number(b)];
    if (a === "-" || b === "-") return (a === "-") - (b === "-");
    const order = a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y) ? x - y : a.localeCompare(b);
    return sign * order;
  };
}

function sortBy(head) {
  const panel = head.closest(".panel");
  const bodies = [...panel.querySelectorAll("table[data-panel] > tbody")];
  const sizes = bodies.map((body) => body.rows.length);
  const rows = bodies.flatMap((body) => [...body.rows]);
  const down = head.getAttribute("aria-sort") !== "descending";
  rows.sort(compareRows(head.cellIndex, down ? -1 : 1));
  for (const other of panel.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  bodies.forEach((body, number) => {
    const start = sizes.slice(0, number).reduce((sum, size) => sum + size, 0);
    body.replaceChildren(...rows.slice(start, start + sizes[number]));
  });
}

for (const button of document.querySelectorAll(".sort")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}
