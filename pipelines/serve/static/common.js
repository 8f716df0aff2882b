// What several pages need: elements without markup in texts, and answers of the app.

// An element with attributes and children; texts are texts, whatever is in them.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A JSON document of the app; an error says what the app says.
export async function ask(address, options = {}) {
  const answer = await fetch(address, options);
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  const content = isJson ? await answer.json() : {};
  if (!answer.ok) throw new Error(content.error ?? `The app does not answer (${answer.status}).`);
  return content;
}

export const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

// The strip of a video: equal parts of its time, neighbours of one colour drawn as one.
export function strip(letters, label) {
  const runs = letters.match(/(.)\1*/g) ?? [];
  return element(
    "span",
    { className: "strip", role: "img", ariaLabel: label, title: label },
    ...runs.map((run) => {
      const part = element("i", { className: colour(run[0]) });
      part.style.flexGrow = run.length;
      return part;
    }),
  );
}

function colour(letter) {
  if (letter === "-") return "";
  return letter === "?" ? "hatched" : `c-${EMOTIONS[Number(letter)]}`;
}

// h:mm:ss, with as many decimals as asked for.
export function clock(seconds, decimals = 0) {
  const factor = 10 ** decimals;
  const total = Math.max(decimals ? Math.round(seconds * factor) : Math.floor(seconds + 1e-6) * factor, 0);
  const whole = Math.floor(total / factor);
  const two = (n) => String(n).padStart(2, "0");
  const text = `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return decimals ? `${text}.${String(total % factor).padStart(decimals, "0")}` : text;
}

// Calls back once nothing has happened for a moment.
export function settled(work, milliseconds = 200) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}
