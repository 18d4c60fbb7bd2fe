// The player: the encoder and decoder at work, step by step.

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
    const here = frame.kind === "read" && s === read;
    if (s) line(x(s - 1) + 20, 234, x(s) - 20, 234, here ? "flow" : s <= read ? "" : "off");
    if (s && frame.kind === "both") line(x(s) - 20, 244, x(s - 1) + 20, 244, "flow");
    box(s, 220, `h${s + 1}`, here ? "on done" : s <= read ? "done" : "off", piece, 266);
  });
  if (frame.kind === "hand") line(x(source.length - 1), 220, x(0), 78, "flow");
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
