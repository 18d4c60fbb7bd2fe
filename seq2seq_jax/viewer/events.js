// What mouse, finger and keyboard do; then the page begins.

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
    text: $("text").value.trim().replace(/\s*\n\s*/g, " "),
    beam_size: Number($("beams").value) };
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
