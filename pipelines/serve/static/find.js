// Finds moments: a form makes SQL, which may be changed; what was asked is in the page's address.
import { ask, clock, element } from "./common.js";

const get = (id) => document.getElementById(id);
const form = get("form");
let number = 0;

async function find(sql) {
  const own = ++number;
  get("trouble").hidden = true;
  get("count").textContent = "…";
  try {
    const answer = await ask("/api/find", { method: "POST", body: sql });
    if (own === number) show(answer);
  } catch (error) {
    if (own === number) trouble(error.message);
  }
}

function trouble(text) {
  get("answer").hidden = true;
  get("trouble").textContent = text;
  get("trouble").hidden = false;
}

function show({ columns, rows, moments, names, more }) {
  get("answer").hidden = false;
  get("count").textContent = `${more ? "the first " : ""}${rows.length.toLocaleString("en")}`;
  get("link").href = location.href;
  get("moments").replaceChildren(...moments.map((moment, i) => moment && card(moment, names, columns, rows[i])).filter(Boolean));
  const [head, body] = get("table").querySelectorAll("thead, tbody");
  head.replaceChildren(element("tr", {}, ...columns.map((name) => element("th", { scope: "col" }, name))));
  body.replaceChildren(...rows.map((row) => element("tr", {}, ...row.map((value) => element("td", {}, words(value))))));
  get("table").open = !moments.some(Boolean);
}

function words(value) {
  return value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

const SHOWN_ELSEWHERE = new Set(["uri", "video_id", "track_id", "start", "end", "second", "seconds", "run"]);

function card(moment, names, columns, row) {
  const second = Math.floor(moment.start);
  const track = moment.track_id === null ? "" : `&track=${moment.track_id}`;
  const picture = element("img", { loading: "lazy", width: 96, height: 96, alt: "" });
  if (moment.track_id !== null) picture.src = `/thumbnail/${moment.video_id}/${moment.track_id}/${second}`;
  picture.addEventListener("error", () => picture.classList.add("missing"));
  const more = columns
    .map((name, i) => [name, row[i]])
    .filter(([name, value]) => !SHOWN_ELSEWHERE.has(name) && value !== null)
    .map(([name, value]) => `${name} ${words(value)}`);
  return element(
    "a",
    { href: `/video/${moment.video_id}?t=${moment.start}${track}`, className: "moment" },
    picture,
    element(
      "span", {},
      element("b", {}, names[moment.video_id]), element("br"),
      `${clock(moment.start)} to ${clock(moment.end)}`, moment.track_id === null ? "" : `, track ${moment.track_id}`,
      element("br"), element("span", { className: "muted" }, more.join(", ")),
    ),
  );
}

function filled() {
  return new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
}

async function asked() {
  try {
    get("sql").value = (await ask(`/api/find/sql?${filled()}`)).sql;
    return true;
  } catch (error) {
    trouble(error.message);
    return false;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  history.pushState(null, "", `?${new URLSearchParams([...filled(), ["go", "1"]])}`);
  if (await asked()) find(get("sql").value);
});
form.addEventListener("change", asked);
get("ask").addEventListener("click", () => {
  history.pushState(null, "", `?${new URLSearchParams({ sql: get("sql").value })}`);
  find(get("sql").value);
});

document.querySelectorAll("[data-save]").forEach((button) => button.addEventListener("click", async () => {
  const kind = button.dataset.save;
  const answer = await fetch(`/api/find/${kind}`, { method: "POST", body: get("sql").value });
  if (!answer.ok) {
    get("trouble").textContent = (await answer.json()).error;
    get("trouble").hidden = false;
    return;
  }
  const address = URL.createObjectURL(await answer.blob());
  element("a", { href: address, download: `moments.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}));

async function begin() {
  const given = new URLSearchParams(location.search);
  for (const [name, value] of given) {
    const field = form.elements[name];
    if (field?.type === "checkbox") field.checked = true;
    else if (field) field.value = value;
  }
  if (given.has("sql")) {
    get("sql").value = given.get("sql");
    get("own").open = true;
    find(given.get("sql"));
  } else if (await asked() && given.has("go")) find(get("sql").value);
}

addEventListener("popstate", begin);
begin();
