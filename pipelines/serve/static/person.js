// One person: what its tracks show, where it appears, and what people decide about it.
import { ask, clock, element } from "./common.js";
import { Decisions, called, mixture, pager, picture, trouble } from "./decisions.js";

const get = (id) => document.getElementById(id);
const person = Number(get("main").dataset.person);
const chosen = new Set();
let page = 0;

const decisions = new Decisions(() => { chosen.clear(); show(); });
const turned = pager((step) => { page += step; show(); });

async function show() {
  let answer;
  try {
    answer = await ask(`/api/person/${person}?sort=${get("order").value}&page=${page}`);
  } catch (error) {
    get("appearances").replaceChildren();
    get("decide").hidden = true;
    trouble(error.message);
    return;
  }
  head(answer);
  get("appearances").replaceChildren(...answer.appearances.map((each) => card(each, answer.writable)));
  turned(page, answer.page_rows, answer.appearances.length, answer.person.n_tracks);
  update();
  const look = (await ask(`/api/persons/looks?person=${person}`))[person];
  get("looks").replaceChildren(element(
    "div", { className: "person" },
    picture(look.portrait),
    element("div", {}, mixture(look.emotions, look.emotion_words), element("p", {}, look.emotion_words), element("p", {}, look.words)),
  ));
}

function head({ person: who, writable }) {
  get("title").textContent = who.name ? `${who.name} (person ${who.id})` : called(who);
  get("facts").textContent = `${who.seconds} on screen in ${who.videos}, ${who.tracks}${who.enrolled ? ", enrolled" : ""}`;
  get("count").textContent = who.n_tracks.toLocaleString("en");
  get("decide").hidden = !writable;
  document.querySelectorAll("[data-decide]").forEach((button) => { button.hidden = !writable; });
  if (document.activeElement !== get("naming").elements.name) get("naming").elements.name.value = who.name ?? "";
}

function card(each, writable) {
  const when = `${clock(each.start)} to ${clock(each.end)}, track ${each.track}`;
  const box = element("input", { type: "checkbox", checked: chosen.has(each.key), ariaLabel: `Choose ${each.name}, ${when}` });
  box.dataset.key = each.key;
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(each.key);
    else chosen.delete(each.key);
    update();
  });
  const more = [each.emotion, each.alike === null ? null : `likeness ${each.alike.toFixed(2)}`].filter(Boolean).join(", ");
  const texts = element("span", {}, element("b", {}, each.name), element("br"), when, element("br"), element("span", { className: "muted" }, more));
  const attributes = { className: "moment" };
  if (each.video) attributes.href = `/video/${each.video}?t=${each.start}&track=${each.track}`;
  return element("li", {}, writable ? box : null, element(each.video ? "a" : "span", attributes, picture(each.video && each), texts));
}

function update() {
  document.querySelectorAll("[data-decide]").forEach((button) => { button.disabled = !chosen.size; });
}

get("naming").addEventListener("submit", (event) => {
  event.preventDefault();
  decisions.make({ kind: "name", person, name: get("naming").elements.name.value });
});
get("merging").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { other } = get("merging").elements;
  if (await decisions.make({ kind: "merge", person, others: [Number(other.value)] })) other.value = "";
});
document.querySelectorAll("[data-decide]").forEach((button) => button.addEventListener("click", () => {
  decisions.make({ kind: button.dataset.decide, person, tracks: [...chosen] });
}));
get("order").addEventListener("change", () => { page = 0; show(); });

show();
