"use strict";
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

/** Boxes by step and beam; ended hypotheses first. */
function tree() {
  const nodes = sentence().tree.map(([step, parent, piece, total, ended, rank]) =>
    ({ step, parent, piece, total, ended, rank, kept: false, chosen: false }));
  for (const node of nodes.filter((one) => one.rank !== null)) {
    for (let at = node; at; at = nodes[at.parent]) {
      at.kept = true;
      at.chosen ||= node.rank === now.output;
    }
  }
  const wide = 96, high = 44, filled = [];
  for (const node of nodes) {
    filled[node.step] = (filled[node.step] ?? 0) + 1;
    node.x = 20 + node.step * wide;
    node.y = 8 + (filled[node.step] - 1) * high;
  }
  const lines = nodes.map((node) => {
    const [x, y] = node.parent === null
      ? [4, 26] : [nodes[node.parent].x + 72, nodes[node.parent].y + 18];
    const kind = node.chosen ? "chosen" : node.kept ? "" : "gone";
    return make("svg:path", { class: kind,
      d: `M${x} ${y}C${x + 12} ${y} ${node.x - 12} ${node.y + 18} ${node.x} ${node.y + 18}` });
  });
  lines.sort((a, b) => (a.getAttribute("class") === "chosen") - (b.getAttribute("class") === "chosen"));
  const boxes = nodes.map((node) => {
    const kinds = [node.chosen && "chosen", !node.kept && "gone", node.ended && "out"];
    const label = `${node.piece}, step ${node.step + 1}, log p ${nats(node.total)}`;
    const box = make("svg:g", { class: kinds.filter(Boolean).join(" ") },
      make("svg:title", {}, label),
      make("svg:rect", { x: node.x, y: node.y, width: 72, height: 36, rx: 6 }),
      make("svg:text", { x: node.x + 36, y: node.y + 15 }, short(node.piece, 9)),
      make("svg:text", { x: node.x + 36, y: node.y + 30, class: "small" },
        nats(node.total)));
    if (node.rank !== null) choosable(box, node.rank);
    return box;
  });
  resize($("tree"), Math.max(0, ...nodes.map((node) => node.x)) + 90,
    Math.max(0, ...filled.map((count) => count ?? 0)) * high + 12);
  $("tree").replaceChildren(...lines, ...boxes);
}

function choosable(box, rank) {
  const label = `Choose output ${rank + 1}: ${sentence().outputs[rank].text}`;
  for (const [name, value] of [["role", "button"], ["tabindex", 0], ["aria-label", label],
    ["data-rank", rank]]) box.setAttribute(name, value);
  const choose = () => {
    showOutput(rank);
    $("tree").querySelector(`[data-rank="${rank}"]`).focus();
  };
  box.addEventListener("click", choose);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  });
}

function short(piece, most) {
  const letters = [...piece];
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : piece;
}

function resize(svg, width, height) {
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
}

/** The model's work in the order in which it happens. */
function frames() {
  if (!output()) return [];
  const list = sentence().source.map((_, s) => ({ kind: "read", s }));
  if (DATA.model.bidirectional) list.push({ kind: "both" });
  list.push({ kind: "hand" });
  output().pieces.forEach((_, t) =>
    list.push({ kind: "score", t }, { kind: "mix", t }, { kind: "say", t }));
  return list;
}

/** What happens in a frame, as the story of encoder, attention and decoder goes. */
function story({ kind, s, t }) {
  const { source } = sentence(), { pieces, weights, token_log_probs } = output();
  const { attention, reads } = DATA.model;
  const step = `Output step ${t + 1} of ${pieces.length}: `;
  if (kind === "read") {
    return `Encoder, step ${s + 1} of ${source.length}: it reads ${quoted(source[s])}. `
      + "Its new state comes from this token and the state before.";
  }
  if (kind === "both") {
    return "A second network has read the same from the end to the beginning. "
      + "Both states of a token together are its annotation.";
  }
  if (kind === "hand") {
    return "The encoder's last state goes to the decoder: one vector for the whole "
      + "input. By itself it is a bottleneck, so the annotations are kept, too.";
  }
  if (kind === "score") {
    const best = weights[t].indexOf(Math.max(...weights[t]));
    return `${step}the alignment model (${attention}) scores each annotation against `
      + `the decoder's ${reads}; a softmax `
      + `makes weights of the scores. Most has ${quoted(source[best])}, `
      + `${percent(weights[t][best])}.`;
  }
  if (kind === "mix") {
    return `${step}the context vector is the sum of the annotations, each times its `
      + "weight.";
  }
  const p = Math.exp(token_log_probs[t]).toFixed(3);
  const end = t + 1 === pieces.length ? "It is the end marker: done." : "It is read next.";
  return `${step}from context and decoder state together comes ${quoted(pieces[t])}, `
    + `with probability ${p}. ${end}`;
}

function showFrame(number) {
  now.frame = number;
  $("place").value = String(number);
  const frame = frames()[number];
  $("caption").textContent = frame ? story(frame) : "Nothing to say for an empty line.";
  draw(frame);
  if (frame?.t !== undefined) point("output", frame.t);
  for (const id of ["first", "back"]) $(id).disabled = number === 0;
  for (const id of ["step", "last"]) $(id).disabled = number >= frames().length - 1;
}

function draw(frame) {
  const stage = $("stage");
  if (!frame) return resize(stage, 0, 0), stage.replaceChildren();
  const { source } = sentence(), { pieces, weights } = output();
  const wide = 84, read = frame.s ?? source.length - 1, t = frame.t ?? -1;
  const x = (place) => 45 + place * wide;
  const width = 90 + (Math.max(source.length, pieces.length + 1) - 1) * wide;
  const parts = [];
  const box = (place, y, text, kind, label, labelY) => parts.push(
    make("svg:g", { class: kind },
      make("svg:rect", { x: x(place) - 20, y, width: 40, height: 28, rx: 6 }),
      make("svg:text", { x: x(place), y: y + 19 }, text),
      make("svg:text", { x: x(place), y: labelY }, short(label, 10))));
  const line = (x1, y1, x2, y2, kind, more = {}) =>
    parts.push(make("svg:line", { x1, y1, x2, y2, class: kind, ...more }));
  source.forEach((piece, s) => {
    if (s) line(x(s - 1) + 20, 234, x(s) - 20, 234, s === read && frame.kind === "read" ? "flow" : s <= read ? "" : "off");
    const kind = frame.kind === "read" && s === read ? "on done"
      : s <= read ? "done" : "off";
    box(s, 220, `h${s + 1}`, kind, piece, 266);
  });
  const last = source.length - 1;
  if (frame.kind === "both") source.forEach((_, s) => s && line(x(s) - 20, 244, x(s - 1) + 20, 244, "flow"));
  if (frame.kind === "hand") line(x(last), 220, x(0), 78, "flow");
  pieces.forEach((piece, place) => {
    const kind = place === t ? "on done" : place < t ? "done" : "off";
    const told = place < t || (place === t && frame.kind === "say");
    box(place, 50, `s${place + 1}`, kind, told ? piece : "?", 40);
    if (place) line(x(place - 1) + 20, 64, x(place) - 20, 64, place <= t ? "" : "off");
  });
  if (t >= 0) {
    const [cx, cy] = [x(t), 130];
    source.forEach((_, s) => line(x(s), 220, cx, cy + 14, "look", {
      "stroke-opacity": 0.1 + 0.9 * weights[t][s], "stroke-width": 1 + 7 * weights[t][s] }));
    line(cx, cy - 14, cx, 78, frame.kind === "say" ? "flow" : "off");
    parts.push(make("svg:g", { class: frame.kind === "score" ? "off" : "on" },
      make("svg:circle", { cx, cy, r: 14 }), make("svg:text", { x: cx, y: cy + 5 }, "c")));
  }
  resize(stage, width, 280);
  stage.replaceChildren(...parts);
  const room = stage.parentElement;
  room.scrollLeft = x(t >= 0 ? t : read) - room.clientWidth / 2;
}

function stop() {
  clearInterval(now.timer);
  now.timer = 0;
  $("play").textContent = "Play";
}

function play() {
  if (now.timer) return stop();
  if (now.frame >= frames().length - 1) showFrame(0);
  $("play").textContent = "Pause";
  now.timer = setInterval(() => {
    if (now.frame >= frames().length - 1) stop();
    else showFrame(now.frame + 1);
  }, PACE);
}

/** Arrow keys among tokens; where the row runs from right to left, so do they. */
function onKey(event) {
  const side = event.currentTarget.id, count = event.currentTarget.children.length;
  const on = getComputedStyle(event.currentTarget).direction === "rtl" ? -1 : 1;
  const place = Number(event.target.closest("button")?.dataset.place ?? 0);
  const other = side === "output" ? "source" : "output";
  const goals = { ArrowRight: place + on, ArrowLeft: place - on, Home: 0, End: count - 1 };
  if (event.key in goals) {
    point(side, Math.min(count - 1, Math.max(0, goals[event.key])), true);
  } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    const best = weightsShown();
    if ((event.key === "ArrowUp") === (side === "output") && best.length) {
      point(other, best.indexOf(Math.max(...best)), true);
    }
  } else return;
  event.preventDefault();
}

/** Whether the pointer itself moved; a page that moves below one at rest is no wish. */
function moved(event) {
  if (event.type !== "pointerover") return true;
  const same = event.screenX === now.x && event.screenY === now.y;
  Object.assign(now, { x: event.screenX, y: event.screenY });
  return !same;
}
document.addEventListener("pointermove", (event) =>
  Object.assign(now, { x: event.screenX, y: event.screenY }));

for (const side of ["source", "output"]) {
  const at = (event) => {
    const button = event.target.closest("button");
    if (button && moved(event)) point(side, Number(button.dataset.place));
  };
  for (const kind of ["pointerover", "focusin", "click"]) $(side).addEventListener(kind, at);
  $(side).addEventListener("keydown", onKey);
}
for (const kind of ["pointerover", "click"]) {
  $("heat").addEventListener(kind, (event) => {
    const t = event.target.dataset?.t;
    if (t !== undefined && moved(event)) point("output", Number(t));
  });
}
const go = (id, act) => $(id).addEventListener("click", () => { stop(); act(); });
go("first", () => showFrame(0));
go("back", () => showFrame(Math.max(0, now.frame - 1)));
go("step", () => showFrame(Math.min(frames().length - 1, now.frame + 1)));
go("last", () => showFrame(Math.max(0, frames().length - 1)));
go("before", () => showSentence(now.sentence - 1));
go("after", () => showSentence(now.sentence + 1));
$("play").addEventListener("click", play);
$("place").addEventListener("input", () => { stop(); showFrame(Number($("place").value)); });
$("which").addEventListener("change", () => showSentence(Number($("which").value)));
$("help").addEventListener("click", () => $("keys").showModal());
$("theme").addEventListener("click", () => {
  const themes = ["system", "light", "dark"];
  const root = document.documentElement;
  root.dataset.theme = themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % 3];
  $("theme").textContent = `Colours: ${root.dataset.theme}`;
});

function listed() {
  $("which").replaceChildren(...DATA.sentences.map((one, place) =>
    make("option", { value: place }, `${place + 1}: ${short(one.text || "∅", 80)}`)));
  document.querySelector("nav").hidden = DATA.sentences.length < 2;
  document.querySelector("main").hidden = !DATA.sentences.length;
}

/** Ask the server for one text more; its answer is a sentence as the others. */
async function ask(event) {
  event.preventDefault();
  const button = $("ask").querySelector("button"), body = {
    text: $("text").value.trim().replace(/\s*\n\s*/g, " "), beam_size: Number($("beams").value) };
  button.disabled = true;
  $("refusal").textContent = "";
  try {
    const answer = await fetch("view", { method: "POST", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" } });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    DATA.sentences.push(said);
    listed();
    showSentence(DATA.sentences.length - 1);
  } catch (error) {
    $("refusal").textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

$("facts").textContent = DATA.model.facts;
$("ask").hidden = !DATA.live;
$("beams").value = String(DATA.beam_size);
$("beams").max = String(DATA.max_beam_size ?? DATA.beam_size);
$("ask").addEventListener("submit", ask);
listed();
if (DATA.sentences.length) showSentence(0);
