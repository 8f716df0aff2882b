// The list of videos. What is shown is in the page's address, so that it can be kept and sent.
import { ask, element, settled, strip } from "./common.js";

const columns = new Map(JSON.parse(document.getElementById("columns").textContent).map((each) => [each.name, each]));
const WORDS = { ge: "at least", le: "at most", is: "is", not: "is not", has: "contains" };
const get = (id) => document.getElementById(id);
const body = get("list").tBodies[0];
let address = new URLSearchParams(location.search);
let snapshot = -1;
let asked = 0;

function change(edit) {
  const next = new URLSearchParams(address);
  next.delete("page");
  edit(next);
  address = next;
  history.pushState(null, "", `?${address}`);
  show();
}

async function show() {
  const number = ++asked;
  describe();
  try {
    const answer = await ask(`/api/videos?${address}`);
    if (number !== asked) return; // a later question was quicker
    snapshot = answer.snapshot;
    body.replaceChildren(...answer.videos.map(row));
    page(answer);
    trouble("");
  } catch (error) {
    if (number === asked) trouble(error.message);
  }
}

function describe() {
  if (document.activeElement !== get("text")) get("text").value = address.get("q") ?? "";
  const order = address.get("sort") ?? "name";
  for (const button of document.querySelectorAll("[data-sort]")) {
    const own = button.dataset.sort === order.replace(/^-/, "");
    button.closest("th").setAttribute("aria-sort", !own ? "none" : order[0] === "-" ? "descending" : "ascending");
  }
  get("order").value = order.replace(/^-/, "");
  get("direction").value = order[0] === "-" ? "-" : "";
  get("conditions").replaceChildren(...address.getAll("where").map(chip));
}

function chip(condition) {
  const [name, operator, ...rest] = condition.split(",");
  const text = `${columns.get(name)?.words ?? name} ${WORDS[operator] ?? operator} ${rest.join(",")}`;
  const remove = element("button", { type: "button", ariaLabel: `Remove: ${text}` }, "×");
  remove.addEventListener("click", () => change((next) => {
    const kept = next.getAll("where").filter((each) => each !== condition);
    next.delete("where");
    kept.forEach((each) => next.append("where", each));
  }));
  return element("li", {}, text, " ", remove);
}

function row(video) {
  const name = video.video_id ? element("a", { href: `/video/${video.video_id}` }, video.name) : video.name;
  const cell = (text, label, kind = "n") => {
    const made = element("td", { className: kind }, text ?? "–");
    if (label) made.dataset.label = label;
    return made;
  };
  const why = video.reason && element("span", { className: "folder", title: video.advice ?? "" }, video.reason);
  const status = cell(element("span", { className: `badge ${video.status}` }, video.status_words), "Status", "");
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, name, element("span", { className: "folder" }, video.folder), why),
    status,
    cell(video.duration, "Duration"),
    cell(video.tracks, "Tracks"),
    cell(video.at_once, "", "n aside"),
    cell(video.face_seconds, "Face-seconds"),
    element("td", { className: "strips" }, video.strip ? strip(video.strip, video.strip_words ?? "no face") : ""),
    cell(video.ages, "", "n aside"),
    cell(video.recorded, "", "aside"),
  );
}

function page({ total, page_rows: size, videos }) {
  const number = Number(address.get("page") ?? 0);
  const first = number * size;
  get("found").textContent = total.toLocaleString("en");
  const place = total ? `${(first + 1).toLocaleString("en")} to ${(first + videos.length).toLocaleString("en")}` : "none";
  get("pages").querySelector("span").textContent = `${place} of ${total.toLocaleString("en")}`;
  const [before, next] = get("pages").querySelectorAll("button");
  before.disabled = number === 0;
  next.disabled = first + videos.length >= total;
}

function trouble(text) {
  get("trouble").textContent = text;
  get("trouble").hidden = !text;
}

// A field for the value of a condition: words of statuses and emotions, numbers, times.
function field() {
  const column = columns.get(get("column").value);
  get("comparison").hidden = !column;
  if (!column) return;
  get("operator").replaceChildren(...column.operators.map((each) => element("option", { value: each }, WORDS[each])));
  const choices = { status: ["ok", "partial", "no_video", "corrupt", "failed"] }[column.name]
    ?? (column.kind === "truth" ? ["true", "false"] : null);
  if (choices) get("operator").value = "is";
  const kinds = { number: "number", time: "datetime-local" };
  const input = choices
    ? element("select", { ariaLabel: "Value" }, ...choices.map((each) => element("option", {}, each)))
    : element("input", { type: kinds[column.kind] ?? "text", step: "any", ariaLabel: "Value", required: true });
  get("value").replaceChildren(input);
}

get("column").addEventListener("change", field);
get("text").addEventListener("input", settled(() => change((next) => {
  if (get("text").value) next.set("q", get("text").value);
  else next.delete("q");
})));
get("search").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!get("column").value) return;
  const value = get("value").firstChild.value;
  change((next) => next.append("where", `${get("column").value},${get("operator").value},${value}`));
  get("column").value = "";
  field();
});
document.querySelectorAll("[data-sort]").forEach((button) => button.addEventListener("click", () => {
  const name = button.dataset.sort;
  // Of figures the largest are asked for first.
  const falling = columns.get(name).kind !== "text";
  const first = falling ? `-${name}` : name;
  const other = falling ? name : `-${name}`;
  change((next) => next.set("sort", (address.get("sort") ?? "name") === first ? other : first));
}));
for (const id of ["order", "direction"]) {
  get(id).addEventListener("change", () => change((next) => next.set("sort", get("direction").value + get("order").value)));
}
get("pages").addEventListener("click", (event) => {
  const step = Number(event.target.dataset?.step ?? 0);
  if (!step) return;
  change((next) => next.set("page", Number(address.get("page") ?? 0) + step));
  get("videos").scrollIntoView();
});
addEventListener("popstate", () => {
  address = new URLSearchParams(location.search);
  show();
});

async function follow() {
  let pause = 10_000;
  try {
    const state = await ask("/api/status");
    for (const [name, value] of Object.entries(state.tiles)) document.querySelector(`[data-tile=${name}]`).textContent = value;
    const box = get("progress");
    box.hidden = !state.lines.length;
    box.querySelector("[data-lines]").replaceChildren(...state.lines.map((line) => element("p", {}, line)));
    box.querySelector("progress").hidden = state.share === null;
    if (state.share !== null) box.querySelector("progress").value = state.share;
    if (state.snapshot !== snapshot && snapshot >= 0) show();
    if (state.running) pause = 2000;
  } catch {
    // It may be starting again; the next question will tell.
  }
  setTimeout(follow, pause);
}

show();
follow();
