"""What the page does: tables can be sorted, and folded parts are open on paper."""

# Everything is readable without it: charts are drawn before, and folded parts open by themselves.
SCRIPT = """
"use strict";
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => {
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  };
  const sort = (table, heading, column) => {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map(row => [value(row, column), row]);
    const known = rows.filter(([key]) => key !== null).sort(([a], [b]) => descending ? compare(b, a) : compare(a, b));
    const ordered = known.concat(rows.filter(([key]) => key === null));
    table.tBodies[0].append(...ordered.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading, column));
      heading.append(button);
    });
  }
  const opened = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open])")) { part.open = true; opened.push(part); }
  });
  addEventListener("afterprint", () => { for (const part of opened.splice(0)) part.open = false; });
  document.documentElement.dataset.charts = document.querySelectorAll("svg.chart").length;
  document.documentElement.dataset.ready = "true";
})();
"""
