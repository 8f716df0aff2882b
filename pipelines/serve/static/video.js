// The page of a video: plays it, draws its faces, and keeps timeline, details and picture at one time.
// Times are seconds since the first displayed frame, as in the tables; a player's clock is `offset` later.
import { ask, clock, element } from "./common.js";
import { Faces, draw } from "./faces.js";
import { details } from "./details.js";
import { Judgements } from "./judgements.js";
import { Lanes } from "./lanes.js";

const known = JSON.parse(document.getElementById("known").textContent);
const get = (id) => document.getElementById(id);
const video = get("video");
const canvas = get("overlay");
const faces = new Faces(known);
const judgements = new Judgements(known.id, (second, chosen) => { state.chosen = chosen; seek(second); });
const state = { time: 0, offset: 0, playable: false, chosen: null, drawn: "" };
const TINY = 0.0015; // seconds into a frame that a seek aims at: players round to microseconds

// ---- One time for everything

function moved(time) {
  state.time = time;
  get("time").textContent = clock(time, 2);
  const now = faces.at(time, () => moved(state.time));
  draw(canvas, place(), now, { boxes: known.boxes, chosen: state.chosen, dashed: faces.observed === false });
  canvas.time = time;
  choose(now);
  playhead();
  if (faces.observed !== null) certain();
}

function certain() {
  get("certainty").hidden = false;
  get("certainty").textContent = faces.observed
    ? "Every sample was kept; between two samples a box moves evenly."
    : "Dashed boxes are interpolated: only the best sample of each second was kept (facelog analyze --keep-observations keeps all).";
}

// Part of the canvas that shows the picture.
function place() {
  const [width, height] = video.videoWidth ? [video.videoWidth, video.videoHeight] : [known.width, known.height];
  const scale = Math.min(canvas.clientWidth / width, canvas.clientHeight / height) || 1;
  const [w, h] = [width * scale, height * scale];
  return { x: (canvas.clientWidth - w) / 2, y: (canvas.clientHeight - h) / 2, width: w, height: h };
}

function choose(now) {
  if (!now.some((face) => face.track === state.chosen)) state.chosen = now[0]?.track ?? state.chosen;
  const key = JSON.stringify(now.map((face) => [face.track, face.second?.second, face.track === state.chosen]));
  if (key === state.drawn) return;
  state.drawn = key;
  get("faces").replaceChildren(...now.map((face) => {
    const button = element("button", { type: "button", className: "plain-button" }, face.second?.lines[0] ?? `${face.track}`);
    button.setAttribute("aria-pressed", face.track === state.chosen);
    button.dataset.track = face.track;
    return button;
  }));
  const chosen = now.find((face) => face.track === state.chosen);
  get("details").replaceChildren(...details(chosen, known.persons));
  judgements.of(chosen);
}

function pick(track) {
  state.chosen = track;
  state.drawn = "";
  moved(state.time);
}

get("faces").addEventListener("click", (event) => {
  if (event.target.dataset.track === undefined) return;
  pick(Number(event.target.dataset.track));
  get("faces").querySelector("[aria-pressed=true]")?.focus();
});

// A click on a face chooses it; elsewhere the player has it.
get("screen").addEventListener("click", (event) => {
  const area = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - area.x, event.clientY - area.y];
  const hit = canvas.shown?.find(({ box: [left, top, w, h] }) => x >= left && x <= left + w && y >= top && y <= top + h);
  if (!hit) return;
  event.preventDefault();
  event.stopPropagation();
  pick(hit.track);
}, true);

// ---- The player

function seek(time) {
  const to = Math.min(Math.max(time, 0), known.length);
  if (state.playable) video.currentTime = to + state.offset + 0.0005; // times of frames are rounded
  else moved(to);
}

function follow(_, frame) {
  moved(frame.mediaTime - state.offset);
  video.requestVideoFrameCallback(follow);
}

async function find(begin = false) {
  let source;
  try {
    source = await ask(`/api/video/${known.id}/source`, { method: begin ? "POST" : "GET" });
  } catch (error) {
    source = { kind: "gone", reason: error.message };
  }
  if (source.kind === "none") return find(true);
  if (source.kind === "making") return waiting(source, begin);
  get("making").hidden = true;
  if (source.kind === "gone") return tell(`There is nothing to play: ${source.reason} The tables below are as they were.`);
  play(source, begin);
}

function waiting({ share, seconds, error }, begin) {
  get("making").hidden = Boolean(error);
  if (error) return tell(`No preview can be made: ${error} The tables below are as they were.`);
  tell(`Browsers do not play this file, so a preview is being made (${clock(seconds)} done). It is kept for the next time.`);
  if (share === null) get("making").removeAttribute("value");
  else get("making").value = share;
  setTimeout(() => find(begin), 700);
}

function play(source, begin) {
  video.hidden = false;
  const first = firstFrame();
  video.src = source.address;
  video.addEventListener("error", () => {
    state.playable = false;
    if (source.kind === "file" && !begin) find(true);
    else tell("The browser cannot play this file.");
  }, { once: true });
  video.addEventListener("loadedmetadata", async () => {
    get("screen").style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
    tell(source.kind === "preview" ? "This is a preview; browsers do not play the file itself." : "");
    state.offset = await first;
    state.playable = true;
    video.requestVideoFrameCallback(follow);
    seek(state.time);
    canvas.dataset.ready = "yes";
  }, { once: true });
}

// Where the first frame lies on the player's clock. Browsers differ in what they do where a file's clock does not begin
// at 0, so the first frame that is shown tells. It may have been shown before anybody asks: then it is shown again.
function firstFrame() {
  return new Promise((done) => {
    const again = setInterval(() => { if (video.readyState >= 2) video.currentTime += 0.0001; }, 700);
    video.requestVideoFrameCallback((_, frame) => {
      clearInterval(again);
      done(frame.mediaTime);
    });
  });
}

function tell(text) {
  get("notice").textContent = text;
  get("notice").hidden = !text;
}

// ---- Steps

// One frame on: the frames' times are known to the player alone, so it is asked for a later one until it shows another.
async function frameOn() {
  const before = state.time;
  for (let step = 0.5; step <= 8 && state.time <= before + 1e-6; step += step < 2 ? 0.5 : 1) {
    seek(before + step / known.fps + TINY);
    await new Promise((done) => {
      const timer = setTimeout(done, 400); // no other frame is shown
      video.requestVideoFrameCallback(() => { clearTimeout(timer); done(); });
    });
  }
}

let stepping = Promise.resolve();

const steps = {
  ",": () => seek(state.time - (state.playable ? 2 * TINY : 1 / known.fps)),
  ".": () => { if (state.playable) stepping = stepping.then(frameOn); else seek(state.time + 1 / known.fps); },
  ArrowLeft: () => seek(state.time - 1),
  ArrowRight: () => seek(state.time + 1),
  "[": () => seek(known.cuts.findLast((cut) => cut < state.time - 0.3) ?? 0),
  "]": () => seek(known.cuts.find((cut) => cut > state.time + TINY) ?? known.length),
  ArrowUp: () => track(known.tracks.findLast(([start, id]) => start < state.time - 0.1 || (start <= state.time && id < state.chosen))),
  ArrowDown: () => track(known.tracks.find(([start, id]) => start > state.time + 0.1 || (Math.abs(start - state.time) <= 0.1 && id > state.chosen))),
  " ": () => { if (video.paused) video.play(); else video.pause(); },
  f: () => { if (document.fullscreenElement) document.exitFullscreen(); else get("screen").requestFullscreen(); },
};

function track(found) {
  if (!found) return;
  state.chosen = found[1];
  state.drawn = "";
  seek(found[0] + TINY);
}

function step(key) {
  if (key !== " " && key !== "f" && state.playable) video.pause();
  steps[key]();
}

addEventListener("keydown", (event) => {
  if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
  const taken = event.target.closest("input, select, textarea, summary, .figure, .scroll");
  if (taken || (event.key === " " && event.target.closest("button, a"))) return;
  event.preventDefault();
  event.stopPropagation();
  step(event.key);
}, true);
document.querySelector(".stage .controls").addEventListener("click", (event) => {
  if (event.target.dataset.key) step(event.target.dataset.key);
});

// ---- The timeline and the tables

const figure = document.querySelector(".figure");
const needle = element("div", { className: "needle" });
if (figure) new Lanes(figure, known);

function playhead() {
  const axis = figure?._fullLayout?.xaxis;
  if (!axis) return;
  if (!needle.isConnected) {
    figure.append(needle);
    figure.on("plotly_afterplot", playhead);
  }
  const x = axis._offset + axis.l2p(state.time);
  const { t, h } = figure._fullLayout._size;
  needle.hidden = x < axis._offset - 1 || x > axis._offset + axis._length + 1;
  needle.style.cssText = `left: ${x}px; top: ${t}px; height: ${h}px`;
}

let pressed = null;
figure?.addEventListener("pointerdown", (event) => { pressed = event; }, true);
addEventListener("pointerup", (event) => {
  const began = pressed;
  pressed = null;
  if (!began || Math.hypot(event.clientX - began.clientX, event.clientY - began.clientY) > 4) return;
  const axis = figure._fullLayout.xaxis;
  const x = event.clientX - figure.getBoundingClientRect().x - axis._offset;
  if (x >= 0 && x <= axis._length) seek(axis.p2l(x));
}, true);

for (const row of document.querySelectorAll("[data-tracks] tbody tr")) {
  const cell = row.cells[0];
  const id = Number(cell.textContent);
  const go = element("button", { type: "button", className: "link", ariaLabel: `Go to track ${id}` }, cell.textContent);
  go.addEventListener("click", () => {
    track(known.tracks.find((each) => each[1] === id));
    get("screen").scrollIntoView({ block: "center" });
  });
  cell.replaceChildren(go);
}

new ResizeObserver(() => moved(state.time)).observe(canvas);
const asked = new URLSearchParams(location.search);
state.time = Math.max(Number(asked.get("t")) || 0, 0);
if (asked.has("track")) state.chosen = Number(asked.get("track"));
if (known.width && known.height) get("screen").style.aspectRatio = `${known.width} / ${known.height}`;
const drawn = setInterval(() => { if (figure?.dataset.drawn) { clearInterval(drawn); playhead(); } }, 100);
moved(state.time);
find();
