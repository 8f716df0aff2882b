// What is known of the chosen face at the time that is shown: probabilities, age with its interval, gender, quality.
import { EMOTIONS, element } from "./common.js";

const percent = (share) => (share > 0 && share < 0.005 ? "< 1 %" : share < 1 && share > 0.995 ? "> 99 %" : `${Math.round(100 * share)} %`);

export function details(face, persons) {
  if (!face?.second) return [element("p", { className: "muted" }, "Nobody is here at this time.")];
  const second = face.second;
  return [
    element("h3", {}, `Track ${face.track}`),
    person(persons[face.track]),
    element("p", { className: "muted" }, `Measured at the best sample of second ${second.second}; the colour of the box is smoothed over the seconds around.`),
    profile(second),
    element(
      "dl", { className: "attributes" },
      element("dt", {}, "Age"), element("dd", {}, second.age === null ? "unknown" : second.age_words, age(second)),
      element("dt", {}, "Gender"), element("dd", {}, second.gender_words),
      element("dt", {}, "Quality"), element("dd", {}, second.flags.join(", ") || "nothing against it"),
    ),
  ];
}

function person(who) {
  if (!who) return "";
  const [number, name] = who;
  return element("p", {}, "Person ", element("a", { href: `/person/${number}` }, name ? `${number}, ${name}` : `${number}`));
}

function profile({ probabilities }) {
  const names = EMOTIONS.filter((name) => name in probabilities);
  if (!names.length) return element("p", { className: "muted" }, "emotion unknown");
  return element("div", { className: "profile" }, ...names.flatMap((name) => {
    const bar = element("i", { className: `c-${name}` });
    bar.style.width = percent(probabilities[name]).startsWith("<") ? "0.4%" : `${100 * probabilities[name]}%`;
    return [
      element("span", {}, name),
      element("span", { className: "track" }, bar),
      element("span", { className: "n" }, percent(probabilities[name])),
    ];
  }));
}

// The age and its 80 % interval on a scale from 0 to 100 years.
function age({ age: years, age_low: low, age_high: high }) {
  if (years === null) return null;
  const scale = element("span", { className: "years", role: "img", ariaLabel: `on a scale to 100 years` });
  if (low !== null && high !== null) {
    const interval = element("i");
    interval.style.cssText = `left: ${low}%; width: ${Math.max(high - low, 0.5)}%`;
    scale.append(interval);
  }
  const point = element("b");
  point.style.left = `${years}%`;
  scale.append(point);
  return scale;
}
