// The faces of a video at any time: asked for in windows, interpolated as `annotate` does it, and drawn on a canvas.
import { ask } from "./common.js";

export class Faces {
  constructor(known) {
    this.known = known;
    this.windows = new Map();
    this.observed = null;
    this.period = known.period;
  }

  // The faces at a time; empty while they are on their way, and `arrived` is called once they are there.
  at(time, arrived) {
    const number = Math.max(Math.floor(time / this.known.window), 0);
    this.load(number, arrived);
    if (time % this.known.window > this.known.window - 15) this.load(number + 1, () => {});
    const tracks = this.windows.get(number);
    return Array.isArray(tracks) ? tracks.map((track) => shown(track, time, this)).filter(Boolean) : [];
  }

  load(number, arrived) {
    if (this.windows.has(number) || number * this.known.window > this.known.length + 1) return;
    const coming = ask(`/api/video/${this.known.id}/faces/${number}`).then((answer) => {
      this.observed = answer.observed;
      // Between two samples further apart than this, a face was not seen.
      this.longest = Math.max(answer.observed ? 3 * this.period : 2.5, 3 / this.known.fps);
      this.windows.set(number, answer.tracks);
      for (const old of [...this.windows.keys()].slice(0, -6)) this.windows.delete(old);
      arrived();
    });
    coming.catch(() => setTimeout(() => this.windows.delete(number), 2000));
    this.windows.set(number, coming);
  }
}

// Half a millisecond: times of tables and of players are rounded.
const SLACK = 0.0005;

function shown(track, time, { longest, period }) {
  const { times, boxes, seconds } = track;
  const last = times.length - 1;
  if (time < times[0] - SLACK || time > times[last] + track.hold + SLACK) return null;
  let low = 0;
  let high = last;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= time + SLACK) low = middle;
    else high = middle - 1;
  }
  const next = Math.min(low + 1, last);
  const width = times[next] - times[low];
  if (width > longest && time > times[low] + period + SLACK && time < times[next] - SLACK) return null; // out of sight
  const share = width > 0 ? Math.min(Math.max((time - times[low]) / width, 0), 1) : 0;
  const box = boxes[low].map((side, i) => side + share * (boxes[next][i] - side));
  const whole = Math.floor(time + SLACK);
  const second = seconds.findLast((each) => each.second <= whole) ?? seconds[0];
  return { track: track.track, box, second };
}

// Draws boxes with labels. `place` is the picture's part of the canvas, in CSS pixels.
export function draw(canvas, place, faces, { boxes: [width, height], chosen, dashed }) {
  const scale = devicePixelRatio || 1;
  const { clientWidth, clientHeight } = canvas;
  if (canvas.width !== Math.round(clientWidth * scale) || canvas.height !== Math.round(clientHeight * scale)) {
    canvas.width = Math.round(clientWidth * scale);
    canvas.height = Math.round(clientHeight * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, clientWidth, clientHeight);
  pen.font = "13px system-ui, sans-serif";
  const style = getComputedStyle(document.documentElement);
  canvas.place = place;
  canvas.shown = faces.map((face) => {
    const [x, y, w, h] = face.box;
    const box = [
      place.x + (x / width) * place.width, place.y + (y / height) * place.height,
      (w / width) * place.width, (h / height) * place.height,
    ];
    const colour = style.getPropertyValue(`--${face.second?.emotion ?? "unknown"}`).trim();
    outline(pen, box, colour, { thick: face.track === chosen, weak: face.second?.weak, dashed });
    label(pen, box, face.second?.lines ?? [String(face.track)], colour, place);
    return { track: face.track, box, face };
  });
}

function outline(pen, [x, y, w, h], colour, { thick, weak, dashed }) {
  pen.setLineDash(dashed ? [7, 4] : []);
  pen.strokeStyle = "rgb(0 0 0 / .6)";
  pen.lineWidth = (thick ? 4 : weak ? 1.5 : 2.5) + 1.5;
  pen.strokeRect(x, y, w, h);
  pen.strokeStyle = colour;
  pen.lineWidth = thick ? 4 : weak ? 1.5 : 2.5;
  pen.strokeRect(x, y, w, h);
  pen.setLineDash([]);
}

function label(pen, [x, y, w, h], lines, colour, place) {
  const wide = Math.max(...lines.map((line) => pen.measureText(line).width)) + 10;
  const high = lines.length * 16 + 6;
  const left = Math.min(Math.max(x, place.x), Math.max(place.x + place.width - wide, place.x));
  const above = y - high - 2;
  const top = above >= place.y ? above : Math.min(y + h + 2, place.y + place.height - high);
  pen.fillStyle = "rgb(0 0 0 / .72)";
  pen.fillRect(left, top, wide, high);
  pen.fillStyle = colour;
  pen.fillRect(left, top, 3, high);
  pen.fillStyle = "#fff";
  lines.forEach((line, i) => pen.fillText(line, left + 6, top + 16 + i * 16));
}
