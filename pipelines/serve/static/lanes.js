// The timeline of a video: lanes by track or person, and finer bins where it is zoomed in.
import { ask, settled } from "./common.js";

const MARGIN = 0.5; // of the width that is seen, which is asked for on either side

export class Lanes {
  constructor(figure, known) {
    this.figure = figure;
    this.known = known;
    this.state = { by: known.by, bins: known.bins, covers: known.covers };
    this.asked = 0;
    const drawn = setInterval(() => {
      if (!figure.dataset.drawn) return;
      clearInterval(drawn);
      figure.on("plotly_relayout", settled(() => this.refine()));
    }, 100);
    for (const button of document.querySelectorAll("[data-lanes]")) {
      button.addEventListener("click", () => this.draw(button.dataset.lanes, this.state.covers));
    }
    this.tell();
  }

  // Asks for finer bins, or for a part that is not there yet.
  refine() {
    const [start, end] = this.figure._fullLayout.xaxis.range;
    const [from, to] = this.state.covers;
    const inside = start >= from - 0.01 && end <= to + 0.01;
    const fine = this.state.bins <= 1 || to - from <= 2 * (1 + MARGIN) * (end - start);
    if (inside && fine) return;
    const more = MARGIN * (end - start);
    const [first, last] = this.known.covers;
    this.draw(this.state.by, [Math.max(start - more, first), Math.min(end + more, last)]);
  }

  async draw(by, [from, to]) {
    const number = ++this.asked;
    const whole = from <= this.known.covers[0] && to >= this.known.covers[1];
    const part = whole ? {} : { from, to };
    const answer = await ask(`/api/video/${this.known.id}/timeline?${new URLSearchParams({ by, ...part })}`);
    if (number !== this.asked) return;
    this.state = { by, bins: answer.bins, covers: whole ? this.known.covers : [from, to] };
    answer.layout.xaxis.range = this.figure._fullLayout.xaxis.range.slice();
    const { data, layout } = globalThis.fitted(answer);
    this.figure.style.minHeight = `${layout.height}px`;
    await globalThis.Plotly.react(this.figure, data, layout);
    this.tell();
  }

  tell() {
    this.figure.dataset.bins = this.state.bins;
    document.getElementById("bins").textContent = this.state.bins > 1 ? `, here taken together by up to ${this.state.bins} s: zoom in for single seconds` : "";
    for (const button of document.querySelectorAll("[data-lanes]")) {
      button.setAttribute("aria-pressed", button.dataset.lanes === this.state.by);
    }
  }
}
