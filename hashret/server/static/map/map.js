/* The map: points drawn by regl-scatterplot; search, lasso and export by the server. */

const root = document.querySelector("#map");
const api = root.dataset.api, documentPage = root.dataset.document;
const status = document.querySelector("#map-status"), panel = document.querySelector("#selection");
const COLOURS = [
  "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#1f77b4",
  "#bcbd22", "#17becf", "#8c564b", "#2ca02c", "#d62728", "#9467bd", "#e377c2", "#7f3c8d", "#11a579", "#3969ac",
];
const GREY = "#888888", RETRIES = 3;
const EVERYTHING = [[-2, -2], [2, -2], [2, 2], [-2, 2]];
let data = null, plot = null, hidden = new Set(), polygon = null, retries = 0, asked = 0;

const say = words => { status.textContent = words; };
const colour = label => COLOURS[label] ?? GREY;

async function answer(path, options) {
  const response = await fetch(api + path, options);
  if (!response.ok) throw new Error((await response.json()).error);
  return response;
}

async function load() {
  say("Loading the map; the first time it is computed, which can take a minute.");
  const raw = await (await answer("/map")).arrayBuffer();
  const size = new DataView(raw).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(raw, 4, size)));
  const n = header.count, start = 4 + size;
  const column = place => new Uint16Array(raw, start + 2 * n * place, n);
  const scaled = values => Float32Array.from(values, value => value / 32767.5 - 1);
  data = { version: header.version, labels: header.labels, label: column(2), x: scaled(column(0)), y: scaled(column(1)) };
}

function draw() {
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("aria-label", "Map; arrows move it, + and - zoom");
  root.querySelector(".plot").replaceChildren(canvas, root.querySelector("#lasso-layer") ?? layer());
  canvas.addEventListener("webglcontextlost", event => { event.preventDefault(); again(); });
  canvas.addEventListener("keydown", keys);
  const many = data.x.length;
  plot = globalThis.createScatterplot.default({
    canvas, width: "auto", height: "auto", colorBy: "valueA", cameraDistance: 1.15,
    pointColor: data.labels.map((_, label) => colour(label)),
    pointSize: many > 200000 ? 1.5 : many > 20000 ? 3 : 5, opacity: many > 200000 ? 0.5 : 0.85,
    backgroundColor: getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)" ? "#ffffff" : "#16181b",
    pointColorActive: "#d00000", pointColorHover: "#d00000", lassoOnLongPress: false, lassoInitiator: false,
    spatialIndexUseWorker: false,
  });
  plot.subscribe("pointOver", point => { if (!hidden.has(data.label[point])) show(point); });
  return plot.draw({ x: data.x, y: data.y, valueA: data.label }, { zDataType: "categorical" });
}

async function again() {
  plot = null;
  if (retries++ >= RETRIES) { withoutDrawing("The graphics of this browser stopped several times."); return; }
  say("The graphics were lost; drawing again.");
  try { await draw(); filter(); ready(); } catch { withoutDrawing("The graphics of this browser stopped."); }
}

function withoutDrawing(why) {
  root.querySelector(".plot").hidden = true;
  document.querySelector("#lasso").disabled = true;
  say(`${why} The map cannot be drawn; labels, search and export still work.`);
}

function ready() {
  say(`${data.x.length.toLocaleString()} documents. Drag to move, scroll to zoom.`);
  root.dataset.ready = Math.round(performance.now());
}

// labels

function legend() {
  const list = document.querySelector("#labels-list"), counts = new Array(data.labels.length).fill(0);
  for (const label of data.label) counts[label] += 1;
  data.labels.forEach((name, label) => {
    const item = document.createElement("li"), row = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox"; box.checked = true;
    box.addEventListener("change", () => { box.checked ? hidden.delete(label) : hidden.add(label); filter(); });
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "svg"), circle = document.createElementNS(dot.namespaceURI, "circle");
    dot.setAttribute("viewBox", "0 0 2 2"); dot.setAttribute("class", "dot"); dot.setAttribute("aria-hidden", "true");
    for (const [key, value] of Object.entries({ cx: 1, cy: 1, r: 1, fill: colour(label) })) circle.setAttribute(key, value);
    dot.append(circle);
    row.append(box, dot, ` ${name || "no label"} `);
    const count = document.createElement("span");
    count.className = "dim"; count.textContent = counts[label].toLocaleString();
    item.append(row, count);
    list.append(item);
  });
}

function filter() {
  if (!plot) return;
  if (!hidden.size) { plot.unfilter(); return; }
  const kept = [];
  data.label.forEach((label, place) => { if (!hidden.has(label)) kept.push(place); });
  plot.filter(kept);
}

// documents

function link(id) {
  const found = document.createElement("a");
  found.href = `${documentPage}?id=${encodeURIComponent(id)}`;
  found.textContent = id;
  return found;
}

async function show(place) {
  const number = ++asked;
  await new Promise(resolve => setTimeout(resolve, 60));
  if (number !== asked) return;
  try {
    const parameters = new URLSearchParams({ position: place, version: data.version });
    const found = await (await answer(`/map/point?${parameters}`)).json();
    if (number !== asked) return;
    const words = document.createElement("p");
    words.textContent = found.text;
    document.querySelector("#point").replaceChildren(link(found.id), ` ${found.labels.join(", ")}`, words);
  } catch (error) { say(error.message); }
}

document.querySelector("#map-search").addEventListener("submit", async event => {
  event.preventDefault();
  const text = document.querySelector("#map-q").value;
  if (!text || !data) return;
  try {
    const parameters = new URLSearchParams({ q: text, version: data.version });
    const { positions } = await (await answer(`/map/find?${parameters}`)).json();
    if (plot) plot.select(positions, { preventEvent: true });
    say(`${positions.length} documents are marked.`);
    if (positions.length) show(positions[0]);
  } catch (error) { say(error.message); }
});

// lasso

function layer() {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg"), outline = document.createElementNS(made.namespaceURI, "polygon");
  made.id = "lasso-layer";
  made.append(outline);
  let corners = null;
  const place = event => {
    const box = made.getBoundingClientRect(); // of the window, so scrolling does not matter
    return [event.clientX - box.left, event.clientY - box.top];
  };
  made.addEventListener("pointerdown", event => {
    made.setPointerCapture(event.pointerId);
    corners = [place(event)];
    event.preventDefault();
  });
  made.addEventListener("pointermove", event => {
    if (!corners) return;
    corners.push(place(event));
    outline.setAttribute("points", corners.join(" "));
  });
  const end = () => {
    if (corners && corners.length > 2) choose(corners.map(onMap));
    corners = null;
  };
  made.addEventListener("pointerup", end);
  made.addEventListener("pointercancel", () => { corners = null; outline.removeAttribute("points"); });
  return made;
}

function transform() {
  // what regl-scatterplot multiplies a point with: projection, camera, model
  const view = plot.get("cameraView"), canvas = plot.get("canvas");
  const across = canvas.clientWidth / canvas.clientHeight, aspect = plot.get("aspectRatio");
  return {
    a: view[0] * aspect / across, b: view[1] * aspect, c: view[4] / across, d: view[5], e: view[12] / across, f: view[13],
    width: canvas.clientWidth, height: canvas.clientHeight,
  };
}

function onMap([left, top]) {
  const { a, b, c, d, e, f, width, height } = transform();
  const x = 2 * left / width - 1 - e, y = 1 - 2 * top / height - f, size = a * d - b * c;
  return [(d * x - c * y) / size, (a * y - b * x) / size];
}

async function choose(corners) {
  const most = 2000, step = Math.ceil(corners.length / most);
  polygon = corners.filter((_, place) => place % step === 0);
  try {
    const { count, ids } = await (await select("count")).json();
    const list = document.createElement("ul");
    for (const id of ids) { const item = document.createElement("li"); item.append(link(id)); list.append(item); }
    panel.replaceChildren(`${count.toLocaleString()} selected`, list);
    if (count > ids.length) panel.append("…");
    say(`${count.toLocaleString()} documents selected.`);
  } catch (error) { say(error.message); }
}

function select(format) {
  const body = JSON.stringify({ polygon: polygon ?? EVERYTHING, version: data.version, hidden: [...hidden] });
  return answer(`/map/select?format=${format}`, { method: "POST", body, headers: { "Content-Type": "application/json" } });
}

for (const button of document.querySelectorAll("[data-export]")) {
  button.addEventListener("click", async () => {
    if (!data) return;
    try {
      const format = button.dataset.export, blob = await (await select(format)).blob();
      const address = URL.createObjectURL(blob), anchor = document.createElement("a");
      anchor.href = address;
      anchor.download = `selection.${format === "ids" ? "txt" : format}`;
      anchor.click();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    } catch (error) { say(error.message); }
  });
}

const lasso = document.querySelector("#lasso");
lasso.addEventListener("click", () => {
  const on = lasso.getAttribute("aria-pressed") !== "true";
  lasso.setAttribute("aria-pressed", on);
  root.classList.toggle("lassoing", on);
});

// moving by keys and buttons

function zoom(factor, right = 0, up = 0) {
  if (!plot) return;
  const { width, height } = transform();
  const [x0, y0] = onMap([0, height]), [x1, y1] = onMap([width, 0]);
  const w = (x1 - x0) * factor, h = (y1 - y0) * factor;
  plot.zoomToArea({ x: (x0 + x1) / 2 - w / 2 + right * w, y: (y0 + y1) / 2 - h / 2 + up * h, width: w, height: h });
}

function keys(event) {
  const moves = { ArrowLeft: [1, -0.1, 0], ArrowRight: [1, 0.1, 0], ArrowUp: [1, 0, 0.1], ArrowDown: [1, 0, -0.1], "+": [0.8], "-": [1.25] };
  if (!(event.key in moves) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  zoom(...moves[event.key]);
}

document.querySelector("#closer").addEventListener("click", () => zoom(0.7));
document.querySelector("#further").addEventListener("click", () => zoom(1.4));
document.querySelector("#reset").addEventListener("click", () => {
  polygon = null;
  panel.replaceChildren();
  document.querySelector("#lasso-layer polygon")?.removeAttribute("points");
  if (plot) { plot.reset(); plot.deselect({ preventEvent: true }); }
});

try {
  await load();
  legend();
  const canvas = document.createElement("canvas");
  if (!canvas.getContext("webgl")) withoutDrawing("This browser has no WebGL.");
  else { await draw(); ready(); }
} catch (error) { say(error.message); }
globalThis.hashretMap = { get plot() { return plot; }, get data() { return data; }, onMap, transform };
