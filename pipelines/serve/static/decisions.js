// What people decide about persons, for both pages of persons: asking for it, the list of it, and pages of a list.
import { ask, element } from "./common.js";

const get = (id) => document.getElementById(id);

// Makes a decision, or takes one back; `changed` is called once it is done.
export class Decisions {
  constructor(changed) {
    this.changed = changed;
    ask("/api/persons/decisions").then((answer) => this.show(answer), (error) => trouble(error.message));
  }

  make(said) {
    return this.send("/api/persons/decisions", { method: "POST", body: JSON.stringify(said) });
  }

  async send(address, request) {
    trouble("");
    try {
      const answer = await ask(address, request);
      this.show(answer);
      this.changed(answer);
      return answer;
    } catch (error) {
      trouble(error.message);
      return null;
    }
  }

  show({ writable, decisions }) {
    get("decisions").hidden = !decisions.length;
    get("decisions").querySelector("ul").replaceChildren(...decisions.map(({ number, words, at }) => {
      const undo = element("button", { type: "button", className: "link", ariaLabel: `Undo: ${words}` }, "undo");
      undo.addEventListener("click", () => this.send(`/api/persons/decisions/${number}`, { method: "DELETE" }));
      const when = element("span", { className: "muted" }, ` ${at.replace("T", " ")} UTC `);
      return element("li", {}, words, when, writable ? undo : null);
    }));
  }
}

export function trouble(text) {
  get("trouble").textContent = text;
  get("trouble").hidden = !text;
}

// Which part of a list is shown, with buttons to the parts before and next.
export function pager(turn) {
  get("pages").addEventListener("click", (event) => {
    const step = Number(event.target.dataset?.step ?? 0);
    if (step) turn(step);
  });
  return (number, size, shown, total) => {
    const [before, next] = get("pages").querySelectorAll("button");
    get("pages").hidden = total <= size;
    get("pages").querySelector("span").textContent = `${number * size + 1} to ${number * size + shown} of ${total.toLocaleString("en")}`;
    before.disabled = number === 0;
    next.disabled = number * size + shown >= total;
  };
}

export function picture(place) {
  if (!place) return element("span", { className: "nobody" });
  const { video, track, second } = place;
  const made = element("img", { loading: "lazy", width: 96, height: 96, alt: "", src: `/thumbnail/${video}/${track}/${second}` });
  made.addEventListener("error", () => made.classList.add("missing"));
  return made;
}

// Mean probabilities as a strip, each as wide as it is large.
export function mixture(emotions, label) {
  const parts = Object.entries(emotions).map(([name, mean]) => {
    const part = element("i", { className: `c-${name}` });
    part.style.flexGrow = mean;
    return part;
  });
  return element("span", { className: "strip", role: "img", ariaLabel: label, title: label }, ...parts);
}

export function called({ id, name }) {
  return name ? name : `Person ${id}`;
}
