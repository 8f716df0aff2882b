// Draws the timeline, and sorts, filters and lengthens tables. Everything else is plain HTML.
"use strict";

const ROWS_SHOWN = 500;

const isNarrow = () => window.matchMedia("(max-width: 46rem)").matches;

function draw(box) {
  const figure = fitted(JSON.parse(document.getElementById(box.dataset.figure).textContent));
  const narrow = isNarrow();
  const config = {
    displaylogo: false,
    responsive: true,
    displayModeBar: narrow ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    doubleClick: "reset",
    locale: "en",
  };
  const whole = figure.layout.xaxis.range.slice();
  Plotly.newPlot(box, figure.data, figure.layout, config).then(() => {
    box.dataset.drawn = "yes";
    box.on("plotly_relayout", (changed) => {
      if (!Object.keys(changed).some((key) => key.startsWith("xaxis.range"))) return;
      const { tickvals, ticktext } = ticks(box._fullLayout.xaxis.range, narrow ? 4 : 10);
      Plotly.relayout(box, { "xaxis.tickvals": tickvals, "xaxis.ticktext": ticktext });
    });
    box.addEventListener("keydown", (event) => zoom(box, whole, event));
  });
}

// A figure as it is drawn on a screen of this width, with its ticks.
function fitted(figure) {
  const { layout } = figure;
  if (isNarrow()) {
    // A finger is there to scroll the page, and there is no room for many ticks.
    layout.dragmode = false;
    layout.margin.l = 62;
    layout.margin.r = 6;
    layout.yaxis.tickfont = { size: 11 };
    for (const trace of figure.data) delete trace.text;
  }
  Object.assign(layout.xaxis, ticks(layout.xaxis.range, isNarrow() ? 4 : 10));
  return figure;
}

// Round times between the ends of the axis, at most so many, as h:mm:ss.
function ticks([start, end], most) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
  let step = steps.find((each) => (end - start) / each <= most) ?? 86400;
  while ((end - start) / step > most) step *= 2;
  const tickvals = [];
  for (let i = Math.ceil(start / step); i * step <= end; i++) tickvals.push(i * step);
  return { tickvals, ticktext: tickvals.map((seconds) => clock(seconds, step < 1)) };
}

function clock(seconds, tenths) {
  const whole = Math.floor(seconds + 1e-6);
  const two = (n) => String(n).padStart(2, "0");
  const text = `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return tenths ? `${text}.${Math.round((seconds - whole) * 10)}` : text;
}

function zoom(box, whole, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const [start, end] = box._fullLayout.xaxis.range;
  const width = end - start;
  const moves = {
    ArrowLeft: [-0.2, -0.2], ArrowRight: [0.2, 0.2], "+": [0.2, -0.2], "=": [0.2, -0.2], "-": [-0.3, 0.3],
  };
  let range = whole;
  if (event.key in moves) {
    const wider = moves[event.key][0] < 0 && moves[event.key][1] > 0;
    range = [start + moves[event.key][0] * width, end + moves[event.key][1] * width];
    const shift = Math.max(whole[0] - range[0], 0) || Math.min(whole[1] - range[1], 0);
    range = wider ? [Math.max(range[0], whole[0]), Math.min(range[1], whole[1])] : [range[0] + shift, range[1] + shift];
  } else if (event.key !== "0") return;
  event.preventDefault();
  Plotly.relayout(box, { "xaxis.range": range });
}

function value(cell, kind) {
  const text = cell.dataset.value ?? cell.textContent;
  if (kind !== "number") return text.toLowerCase();
  return text.trim() === "" ? null : Number(text);
}

// Unknown values stay at the end, whichever way it is sorted.
function compare(a, b, sign) {
  const unknown = (v) => v === null || v === "";
  if (unknown(a) || unknown(b)) return unknown(a) - unknown(b);
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
}

function sort(table, header) {
  const headers = [...header.parentNode.children];
  const column = headers.indexOf(header);
  const kind = header.querySelector("button").dataset.kind;
  // Of figures the largest are asked for first.
  const first = kind === "number" ? "descending" : "ascending";
  const other = kind === "number" ? "ascending" : "descending";
  const order = header.getAttribute("aria-sort") === first ? other : first;
  headers.forEach((each) => each.hasAttribute("aria-sort") && each.setAttribute("aria-sort", "none"));
  header.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column], kind), row]);
  rows.sort((a, b) => compare(a[0], b[0], sign));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

// Long tables show their first rows, and more of them when asked; `wanted` says which rows count.
function lengthen(table) {
  let shown = ROWS_SHOWN;
  let wanted = () => true;
  const more = document.createElement("button");
  more.type = "button";
  more.className = "more";
  more.addEventListener("click", () => { shown += 4 * ROWS_SHOWN; update(); });
  table.parentNode.after(more);
  function update() {
    let count = 0;
    for (const row of table.tBodies[0].rows) row.hidden = !(wanted(row) && ++count <= shown);
    more.hidden = count <= shown;
    more.textContent = `Show more (${(count - shown).toLocaleString("en")} left)`;
    return count;
  }
  update();
  return { update, filter(test) { wanted = test; shown = ROWS_SHOWN; return update(); } };
}

document.querySelectorAll("table.list").forEach((table) => {
  const rows = lengthen(table);
  table.querySelectorAll("th[aria-sort] button").forEach((button) => {
    button.addEventListener("click", () => { sort(table, button.closest("th")); rows.update(); });
  });
  const input = document.querySelector(`[data-filter="${table.id || "-"}"]`);
  if (!input) return;
  const texts = new Map();
  for (const row of table.tBodies[0].rows) {
    const values = [...row.cells].map((cell) => cell.dataset.value ?? "").join(" ");
    texts.set(row, `${row.textContent} ${values}`.toLowerCase());
  }
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const count = rows.filter((row) => words.every((word) => texts.get(row).includes(word)));
    document.querySelector("[data-found]").textContent = words.length ? `${count.toLocaleString("en")} found` : "";
  });
});

document.querySelectorAll("[data-figure]").forEach(draw);
