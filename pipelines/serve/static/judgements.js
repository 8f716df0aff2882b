// What people say of the chosen face: a form, and the list of all that was said of the video.
import { ask, clock, element } from "./common.js";

const get = (id) => document.getElementById(id);

export class Judgements {
  constructor(videoId, go) {
    this.address = `/api/video/${videoId}/annotations`;
    this.go = go;
    this.face = null;
    const form = get("judgement");
    form.elements.author.value = localStorage.getItem("author") ?? "";
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save(form);
    });
    this.change({});
  }

  // The face that is judged now.
  of(face) {
    this.face = face;
    get("judge").hidden = !this.writable || !face?.second;
  }

  async save(form) {
    const { what, scope, comment, author } = form.elements;
    const kind = ["not_a_face", "comment"].includes(what.value) ? what.value : "emotion";
    localStorage.setItem("author", author.value);
    const said = {
      track: this.face.track, second: this.face.second.second, kind, scope: scope.value,
      emotion: kind === "emotion" ? what.value : null, comment: comment.value, author: author.value,
    };
    if (await this.change({ method: "POST", body: JSON.stringify(said) })) comment.value = "";
  }

  async change(request, id = "") {
    get("judged").hidden = true;
    try {
      this.show(await ask(this.address + id, request));
      return true;
    } catch (error) {
      get("judged").textContent = error.message;
      get("judged").hidden = false;
      return false;
    }
  }

  show({ writable, annotations }) {
    this.writable = writable;
    this.of(this.face);
    get("said").hidden = !annotations.length;
    get("remarks").replaceChildren(...annotations.map((said) => this.line(said)));
  }

  line(said) {
    const what = { emotion: said.emotion, not_a_face: "not a face", comment: "remark" }[said.kind];
    const where = said.scope === "track" ? `track ${said.track_id}` : `track ${said.track_id} at ${clock(said.second)}`;
    const go = element("button", { type: "button", className: "link" }, where);
    go.addEventListener("click", () => this.go(said.second, said.track_id));
    const remove = element("button", { type: "button", className: "link", ariaLabel: `Remove: ${what}, ${where}` }, "remove");
    remove.addEventListener("click", () => this.change({ method: "DELETE" }, `/${said.annotation_id}`));
    const who = ` ${said.author}, ${said.created_at} UTC `;
    return element("li", {}, go, " ", element("b", {}, what), said.comment ? ` “${said.comment}”` : "", element("span", { className: "muted" }, who), remove);
  }
}
