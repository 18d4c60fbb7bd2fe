// The tree of hypotheses that the beam followed.

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
  // The chosen ones last, that is above the others.
  const isChosen = (line) => line.getAttribute("class") === "chosen";
  lines.sort((a, b) => isChosen(a) - isChosen(b));
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
