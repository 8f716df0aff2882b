// The list of persons. What is shown is in the page's address.
import { ask, element, settled } from "./common.js";
import { Decisions, called, mixture, pager, picture, trouble } from "./decisions.js";

const get = (id) => document.getElementById(id);
const chosen = new Set();
let address = new URLSearchParams(location.search);
let asked = 0;

const decisions = new Decisions(() => { chosen.clear(); show(); });
const turned = pager((step) => change((next) => next.set("page", Number(address.get("page") ?? 0) + step), true));

function change(edit, keepsPage = false) {
  const next = new URLSearchParams(address);
  if (!keepsPage) next.delete("page");
  edit(next);
  address = next;
  history.pushState(null, "", `?${address}`);
  show();
}

async function show() {
  const number = ++asked;
  if (document.activeElement !== get("text")) get("text").value = address.get("q") ?? "";
  get("order").value = address.get("sort") ?? "seconds";
  try {
    const answer = await ask(`/api/persons?${address}`);
    if (number !== asked) return;
    trouble("");
    list(answer);
    if (answer.persons.length) await looks(answer.persons.map((person) => person.id), number);
  } catch (error) {
    if (number === asked) trouble(error.message);
  }
}

function list({ total, page_rows: size, persons, writable }) {
  get("count").textContent = total.toLocaleString("en");
  get("none").hidden = total > 0 || address.has("q");
  get("merge").hidden = !writable;
  get("persons").replaceChildren(...persons.map((person) => card(person, writable)));
  turned(Number(address.get("page") ?? 0), size, persons.length, total);
  update();
}

function card(person, writable) {
  const box = element("input", { type: "checkbox", value: person.id, checked: chosen.has(person.id), ariaLabel: `Choose ${called(person)}` });
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(person.id);
    else chosen.delete(person.id);
    update();
  });
  const facts = `${person.seconds} on screen, ${person.videos}, ${person.tracks}${person.enrolled ? ", enrolled" : ""}`;
  return element(
    "li", { className: "person", id: `person-${person.id}` },
    picture(null),
    element(
      "div", {},
      element("p", {}, writable ? box : null, " ", element("a", { href: `/person/${person.id}` }, element("b", {}, called(person))), person.name ? element("span", { className: "muted" }, ` ${person.id}`) : null),
      element("p", {}, facts),
      element("div", { className: "looks" }),
    ),
  );
}

async function looks(ids, number) {
  const found = await ask(`/api/persons/looks?${new URLSearchParams(ids.map((id) => ["person", id]))}`);
  if (number !== asked) return;
  for (const [id, each] of Object.entries(found)) {
    const own = get(`person-${id}`);
    own.firstChild.replaceWith(picture(each.portrait));
    own.querySelector(".looks").replaceChildren(
      mixture(each.emotions, each.emotion_words),
      element("p", { className: "muted" }, [each.emotion_words, each.words].filter(Boolean).join("; ")),
    );
  }
}

function update() {
  get("merge").disabled = chosen.size < 2;
}

// The person that stands first in the list keeps its number.
get("merge").addEventListener("click", () => {
  const listed = [...get("persons").querySelectorAll("input:checked")].map((box) => Number(box.value));
  const [person, ...others] = [...new Set([...listed, ...chosen])];
  decisions.make({ kind: "merge", person, others });
});
get("text").addEventListener("input", settled(() => change((next) => {
  if (get("text").value) next.set("q", get("text").value);
  else next.delete("q");
})));
get("search").addEventListener("submit", (event) => event.preventDefault());
get("order").addEventListener("change", () => change((next) => next.set("sort", get("order").value)));
addEventListener("popstate", () => {
  address = new URLSearchParams(location.search);
  show();
});

show();
