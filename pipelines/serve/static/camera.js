// The faces of the browser's camera: a picture is sent, and the next one, the newest by then, once the answer is here.
import { EMOTIONS, clock, element } from "./common.js";

const LONGEST_SIDE = 640;
const QUALITY = 0.85;
const KEPT = 60; // answers whose delays make the median
const READABLE = 8000; // milliseconds
const REMEMBERED = 400; // milliseconds for which a face that is not found any more stays blurred

const $ = (id) => document.getElementById(id);
const [shown, video, sent] = [$("shown"), document.createElement("video"), document.createElement("canvas")];
const state = { socket: null, isReady: false, isPaused: false, isFresh: false, sentAt: null, times: [], delays: [], faces: [], blurred: [], recorded: "no", link: null, told: 0, troubleAt: -Infinity };
const colours = Object.fromEntries(EMOTIONS.map((name) => [name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()]));

// Says what is wrong; a text stays for some seconds, since answers go on.
function trouble(text) {
  if (!text && performance.now() - state.troubleAt < READABLE) return;
  state.troubleAt = text ? performance.now() : -Infinity;
  $("trouble").hidden = !text;
  $("trouble").textContent = text ?? "";
}

// The socket: wishes are JSON, pictures are a stamp and a JPEG file.
function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/camera/socket`);
  socket.onopen = () => choose();
  socket.onmessage = (event) => answered(JSON.parse(event.data));
  socket.onclose = () => {
    state.isReady = false;
    state.sentAt = null;
    recording(null);
    trouble("The app does not answer; the page tries again.");
    setTimeout(connect, 1000);
  };
  state.socket = socket;
}

function wish(content) {
  if (state.socket?.readyState === WebSocket.OPEN) state.socket.send(JSON.stringify(content));
}

function choose() {
  state.isReady = false;
  wish({
    do: "choose",
    emotion: $("emotion").value || null,
    age_gender: $("age_gender").value || null,
    detector: $("detector").value,
    min_face: Number($("min_face").value),
  });
}

function answered(answer) {
  trouble(answer.error);
  if (answer.chosen) state.isReady = true;
  if ("recording" in answer) recording(answer.recording);
  if ("recorded" in answer) recorded(answer.recorded);
  if (answer.error && !answer.faces) recording(null);
  if (answer.stamp !== undefined) {
    state.sentAt = null;
    if (answer.faces) show(answer);
  }
  next();
}

// Sends the newest picture of the camera, if nothing is under way and there is a new one.
function next() {
  const isOpen = state.socket?.readyState === WebSocket.OPEN && state.isReady;
  if (!isOpen || state.isPaused || !state.isFresh || state.sentAt !== null || !video.videoWidth) return;
  state.isFresh = false;
  state.sentAt = performance.now();
  const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
  const [width, height] = [video.videoWidth, video.videoHeight].map((side) => 2 * Math.round((side * scale) / 2));
  if (sent.width !== width || sent.height !== height) Object.assign(sent, { width, height });
  sent.getContext("2d").drawImage(video, 0, 0, width, height);
  const stamp = new Float64Array([state.sentAt]);
  sent.toBlob((file) => state.socket.send(new Blob([stamp, file])), "image/jpeg", QUALITY);
}

function fresh() {
  state.isFresh = true;
  next();
  video.requestVideoFrameCallback(fresh);
}

// Draws the picture that the answer is about, so that boxes and faces agree whatever the delay.
function show(answer) {
  const now = performance.now();
  const [width, height] = answer.size;
  if (shown.width !== width || shown.height !== height) Object.assign(shown, { width, height });
  const pen = shown.getContext("2d");
  pen.drawImage(sent, 0, 0);
  if ($("blur").checked) blur(pen, answer.faces, now);
  answer.faces.forEach((face) => draw(pen, face));
  state.faces = answer.faces;
  state.times = [...state.times, now].filter((time) => now - time < 2000);
  state.delays = [...state.delays, performance.now() - answer.stamp].slice(-KEPT);
  Object.assign(shown.dataset, { answers: Number(shown.dataset.answers ?? 0) + 1, faces: JSON.stringify(answer.faces) });
  if (now - state.told > 500) tell(now);
}

function blur(pen, faces, now) {
  state.blurred = [...faces.map((face) => ({ box: face.box, until: now + REMEMBERED })), ...state.blurred.filter((known) => known.until > now)];
  const small = document.createElement("canvas");
  [small.width, small.height] = [6, 6];
  for (const { box: [x, y, width, height] } of state.blurred) {
    const place = [x - width * 0.2, y - height * 0.35, width * 1.4, height * 1.6];
    small.getContext("2d").drawImage(sent, ...place, 0, 0, 6, 6);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, 6, 6, ...place);
  }
}

function draw(pen, face) {
  const [x, y, width, height] = face.box;
  pen.lineWidth = 2;
  pen.strokeStyle = colours[face.emotion] ?? "#fff";
  pen.strokeRect(x, y, width, height);
  pen.font = "13px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const lines = [face.words.emotion, `${face.words.age} · ${face.words.gender}`];
  const wide = Math.max(...lines.map((line) => pen.measureText(line).width)) + 10;
  const left = Math.max(0, Math.min(x, shown.width - wide));
  const top = y + height + 38 < shown.height ? y + height + 2 : Math.max(0, y - 38);
  pen.fillStyle = "rgb(0 0 0 / .65)";
  pen.fillRect(left, top, wide, 36);
  pen.fillStyle = "#fff";
  lines.forEach((line, number) => pen.fillText(line, left + 5, top + 10 + 17 * number));
  const beside = x + width + 66 < shown.width ? x + width + 4 : Math.max(0, x - 66);
  face.emotions.forEach((share, number) => {
    pen.fillStyle = "rgb(0 0 0 / .45)";
    pen.fillRect(beside, y + 9 * number, 60, 7);
    pen.fillStyle = colours[EMOTIONS[number]];
    pen.fillRect(beside, y + 9 * number, 60 * share, 7);
  });
}

// Figures and faces in words, twice a second: nobody reads faster.
function tell(now) {
  state.told = now;
  const sorted = [...state.delays].sort((a, b) => a - b);
  const delay = sorted[Math.floor(sorted.length / 2)];
  const span = (now - state.times[0]) / 1000;
  const rate = span > 0 ? (state.times.length - 1) / span : 0;
  $("delay").textContent = `${Math.round(delay)} ms`;
  $("rate").textContent = rate.toFixed(0);
  Object.assign($("figures").dataset, { delay, rate });
  $("count").textContent = String(state.faces.length);
  $("faces").replaceChildren(...state.faces.map(card));
}

function card(face) {
  const bars = face.emotions.flatMap((share, number) => {
    const bar = element("i", { className: `c-${EMOTIONS[number]}` });
    bar.style.width = `${100 * share}%`;
    return [element("span", {}, EMOTIONS[number]), element("span", { className: "bar-ground" }, bar), element("span", { className: "n" }, `${Math.round(100 * share)} %`)];
  });
  return element(
    "li",
    {},
    element("b", {}, `Track ${face.track}`),
    element("div", {}, `${face.words.emotion}, age ${face.words.age}, gender ${face.words.gender}`),
    element("div", { className: "muted" }, `quality: ${face.words.quality}`),
    element("div", { className: "bars" }, ...bars),
  );
}

function recording(now) {
  $("record").setAttribute("aria-pressed", String(now !== null));
  $("record").textContent = now === null ? "Record" : "Stop recording";
  if (now) [state.recorded, state.link] = ["no", null];
  const text = now === null ? state.recorded : clock(now.seconds) + (now.dropped ? `, ${now.dropped} samples dropped` : "");
  // Made anew only where it changes: a link that is replaced with each answer cannot be clicked.
  if ($("recording").dataset.text !== text) $("recording").replaceChildren(text, ...(state.link ? [" ", state.link] : []));
  $("recording").dataset.text = text;
}

function recorded(done) {
  state.recorded = done ? `saved: ${clock(done.seconds)}, ${done.face_seconds} rows of faces` : "no";
  state.link = done ? element("a", { href: `/video/${done.video_id}` }, "look at it") : null;
  recording(null);
}

async function start() {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } }, audio: false });
  } catch (error) {
    const isPlain = !window.isSecureContext;
    trouble(isPlain ? "Browsers give a camera to 127.0.0.1 or to a page by HTTPS alone." : `The camera does not open: ${error.message}`);
    return;
  }
  Object.assign(video, { muted: true, playsInline: true });
  await video.play();
  $("start").disabled = true;
  for (const id of ["pause", "snapshot", "record"]) $(id).disabled = false;
  video.requestVideoFrameCallback(fresh);
  connect();
}

$("start").addEventListener("click", start);
$("pause").addEventListener("click", () => {
  state.isPaused = !state.isPaused;
  $("pause").setAttribute("aria-pressed", String(state.isPaused));
  next();
});
$("snapshot").addEventListener("click", () => {
  shown.toBlob((file) => {
    const link = element("a", { href: URL.createObjectURL(file), download: `facelog-${new Date().toISOString().replaceAll(/[:.]/g, "-")}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
});
$("record").addEventListener("click", () => {
  const isOn = $("record").getAttribute("aria-pressed") === "true";
  wish(isOn ? { do: "stop" } : { do: "record", name: $("name").value, video: $("video").checked });
});
$("choices").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["emotion", "age_gender", "detector", "min_face"]) $(id).addEventListener("change", choose);
