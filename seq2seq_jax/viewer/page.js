"use strict";
// What is shown, and the tokens, outputs and heat map of it.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const NARROW = 4; // characters of a column's label that stand upright
const PACE = 900; // milliseconds a step of the player

// What is shown: a sentence, one of its outputs, one of its tokens or the source's.
const now = { sentence: 0, output: 0, side: "output", token: 0, frame: 0, timer: 0 };

const $ = (id) => document.getElementById(id);
const sentence = () => DATA.sentences[now.sentence];
const output = () => sentence().outputs[now.output];
const percent = (weight) => `${(100 * weight).toFixed(1)} %`;
const quoted = (piece) => `“\u2068${piece}\u2069”`; // isolated: scripts may differ
const nats = (number) => number.toFixed(3);

/** An element with attributes and children; texts are texts, never HTML. */
function make(name, attributes = {}, ...children) {
  const element = name.startsWith("svg:")
    ? document.createElementNS(SVG, name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** The weights of the token that is pointed at: a row of the matrix, or a column. */
function weightsShown() {
  if (!output()) return [];
  return now.side === "output"
    ? output().weights[now.token]
    : output().weights.map((row) => row[now.token]);
}

function showSentence(number) {
  now.sentence = number;
  $("which").value = String(number);
  $("before").disabled = number === 0;
  $("after").disabled = number === DATA.sentences.length - 1;
  tokens("source", sentence().source);
  const list = sentence().outputs.map((one, place) => {
    const input = make("input", { type: "radio", name: "output", value: place });
    input.addEventListener("change", () => showOutput(place));
    const numbers = `score ${nats(one.score)} · log p ${nats(one.log_prob)}`;
    return make("label", {}, input, make("bdi", {}, one.text || "∅"),
      make("small", {}, numbers));
  });
  $("outputs").replaceChildren(...list);
  showOutput(0);
}

function showOutput(number) {
  now.output = number;
  for (const input of $("outputs").querySelectorAll("input")) {
    input.checked = input.value === String(number);
  }
  Object.assign(now, { side: "output", token: 0 });
  const pieces = output()?.pieces ?? [];
  tokens("output", pieces);
  heat(pieces);
  tree();
  stop();
  $("place").max = String(Math.max(0, frames().length - 1));
  showFrame(0);
  paint();
}

function tokens(side, pieces) {
  const row = $(side);
  row.dir = "auto";
  row.replaceChildren(...pieces.map((piece, place) =>
    make("button", { type: "button", "data-place": place },
      make("span", {}, piece), make("small", {}))));
}

function point(side, token, focus = false) {
  if (!output()) return;
  Object.assign(now, { side, token });
  paint();
  if (focus) $(side).children[token].focus();
}

/** Show the weights of what is pointed at: on the tokens, in words, in the heat map. */
function paint() {
  const weights = weightsShown();
  for (const side of ["source", "output"]) {
    const own = side === now.side;
    [...$(side).children].forEach((button, place) => {
      const at = own && place === now.token;
      const weight = own ? null : weights[place];
      button.style.setProperty("--w", weight ?? 0);
      button.lastChild.textContent = weight === null ? "" : percent(weight);
      button.setAttribute("aria-pressed", at);
      button.tabIndex = place === (own ? now.token : 0) ? 0 : -1;
    });
  }
  for (const cell of $("heat").querySelectorAll(".on")) cell.classList.remove("on");
  if (!output()) {
    $("told").textContent = "An empty line has an empty output: nothing was looked at.";
    return;
  }
  const cells = now.side === "output"
    ? $("heat").tBodies[0].rows[now.token].cells
    : [...$("heat").rows].map((row) => row.cells[now.token + 1]);
  for (const cell of cells) cell.classList.add("on");
  $("told").textContent = inWords(weights);
}

function inWords(weights) {
  const own = now.side === "output" ? output().pieces : sentence().source;
  const others = now.side === "output" ? sentence().source : output().pieces;
  const best = weights.map((weight, place) => ({ weight, place }))
    .sort((a, b) => b.weight - a.weight).slice(0, 3)
    .filter(({ weight }) => weight >= 0.005)
    .map(({ weight, place }) => `${quoted(others[place])} ${percent(weight)}`);
  if (!best.length) return `${quoted(own[now.token])}: next to nothing.`;
  if (now.side === "source") {
    return `${quoted(own[now.token])} was looked at by ${best.join(", ")}.`;
  }
  const p = Math.exp(output().token_log_probs[now.token]);
  return `${quoted(own[now.token])} (p = ${p.toFixed(3)}) looked at ${best.join(", ")}.`;
}

function heat(pieces) {
  const source = sentence().source;
  $("heat").dir = getComputedStyle($("source")).direction;
  const long = source.some((piece) => [...piece].length > NARROW) ? "long" : null;
  const head = make("tr", {}, make("td"), ...source.map((piece) =>
    make("th", { scope: "col", class: long }, make("span", { dir: "auto" }, piece))));
  const rows = pieces.map((piece, t) => make("tr", {},
    make("th", { scope: "row" }, make("span", { dir: "auto" }, piece)),
    ...output().weights[t].map((weight, s) => {
      const shown = weight >= 0.005 ? Math.round(100 * weight) : "";
      const title = `${piece} → ${source[s]}: ${percent(weight)}`;
      const cell = make("td", { title, "data-t": t }, String(shown));
      cell.style.setProperty("--w", weight);
      return cell;
    })));
  $("heat").replaceChildren(make("caption", { class: "hidden" },
    "Attention in percent: rows are output tokens, columns source tokens"),
  make("thead", {}, head), make("tbody", {}, ...rows));
}
