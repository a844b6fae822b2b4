"use strict";
/* Draws the figures, and links them: a time, pointed at or clicked anywhere, is marked everywhere. */
const byId = (id) => document.getElementById(id);
window.addEventListener("error", (event) => {
  byId("broken").hidden = false;
  byId("broken").textContent = `A part of this page failed: ${event.message}`;
});
const dark = window.matchMedia("(prefers-color-scheme: dark)");
// On a dark page geo_nav's blue would hardly be seen.
const figures = JSON.parse(byId("figures").textContent, (_, value) => (value === "#0072B2" && dark.matches ? "#4BA6E0" : value));
const { since, track, fixes, pictures } = JSON.parse(byId("moments").textContent);
const overTime = ["timeline", "errors", "registration"].filter((name) => name in figures);
let kept = null; // the time that was clicked, s
let wanted = null; // the time that the next frame draws
let shown = 0; // the time that is marked

/** Index of the entry of a sorted list that is nearest to t; -1 of an empty one. */
function nearest(times, t) {
  let low = 0, high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= t) low = middle; else high = middle;
  }
  return high < 0 || t - times[low] <= times[high] - t ? Math.min(low, high) : high;
}

/** Gives a layout the colours of the page's style. */
function theme(layout) {
  const style = getComputedStyle(document.documentElement);
  const [ink, soft, grid] = ["--ink", "--soft", "--grid"].map((name) => style.getPropertyValue(name).trim());
  const clear = "rgba(0,0,0,0)";
  Object.assign(layout, { font: { color: ink }, paper_bgcolor: clear, plot_bgcolor: clear });
  layout.modebar = { bgcolor: clear, color: soft, activecolor: ink };
  for (const axis of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    Object.assign(layout[axis], { gridcolor: grid, zerolinecolor: soft });
  }
}

async function draw() {
  const touch = window.matchMedia("(pointer: coarse)").matches;
  for (const [name, figure] of Object.entries(figures)) {
    const config = { responsive: true, displaylogo: false, showSendToCloud: false, scrollZoom: name === "map" };
    // A finger that drags over a plot scrolls the page; on a narrow page the buttons would hide the legend.
    if (touch && name !== "map") figure.layout.dragmode = false;
    config.displayModeBar = window.innerWidth > 700;
    config.modeBarButtonsToRemove = ["select2d", "lasso2d", "autoScale2d"];
    theme(figure.layout);
    await Plotly.newPlot(name, figure.data, figure.layout, config);
  }
}

/** The time under the pointer in a plot over time; null beside its panels. */
function timeAt(plot, event) {
  const axis = plot._fullLayout.xaxis;
  const x = event.clientX - plot.getBoundingClientRect().left - axis._offset;
  return x < 0 || x > axis._length ? null : axis.p2d(x);
}

/** Marks a time at the end of this frame; pointers move more often than plots can be drawn. */
function point(t) {
  if (wanted === null) requestAnimationFrame(() => { const now = wanted; wanted = null; show(now); });
  wanted = t;
}

/** Puts a plot's mark where the time is: a line over time, a ring on the map. A shape of plotly's would take far longer. */
function mark(name) {
  const layout = byId(name)._fullLayout, size = layout._size, style = byId(name).querySelector(".mark").style;
  const at = (axis, value) => axis._offset + axis.d2p(value);
  const k = nearest(track.t, shown);
  const x = at(layout.xaxis, name === "map" ? track.east[k] : shown);
  const y = name === "map" ? at(layout.yaxis, track.north[k]) : size.t;
  const inside = x >= size.l - 1 && x <= size.l + size.w + 1 && y >= size.t - 1 && y <= size.t + size.h + 1;
  style.display = inside ? "block" : "none";
  style.left = `${x}px`;
  style.top = `${y}px`;
  if (name !== "map") style.height = `${size.h}px`;
}

function show(t) {
  const k = nearest(track.t, t);
  if (k < 0) return;
  shown = t;
  for (const name of [...overTime, "map"]) mark(name);
  const fix = nearest(fixes.t, t);
  const metres = (x, otherwise) => (x === null ? otherwise : `${x.toPrecision(3)} m`);
  const rows = [
    ["time", `${t.toFixed(1)} s since ${since}`],
    ["state", track.state[k]],
    ["3D error", `${metres(track.error[k], "not scored here")}, claimed 1σ ${metres(track.sigma[k], "not told")}`],
    ["place", `${track.east[k].toFixed(1)} m east, ${track.north[k].toFixed(1)} m north`],
  ];
  if (fix >= 0) rows.push([`frame at ${fixes.t[fix].toFixed(1)} s`, `${fixes.verdict[fix]}: ${fixes.text[fix]}`]);
  byId("moment").replaceChildren(...rows.flatMap(([name, value]) => {
    const pair = [document.createElement("dt"), document.createElement("dd")];
    pair[0].textContent = name;
    pair[1].textContent = value;
    return pair;
  }));
  showPicture(t);
}

function showPicture(t) {
  const near = byId("near"), picture = pictures[nearest(pictures.map((p) => p.seconds), t)];
  if (picture) {
    near.hidden = false;
    near.className = picture.verdict;
    near.querySelector("img").src = picture.uri;
    near.querySelector("figcaption").textContent = `nearest picture, at ${picture.seconds.toFixed(1)} s: ${picture.title}`;
  }
  const cards = [...document.querySelectorAll(".gallery figure")];
  const distance = (card) => Math.abs(Number(card.dataset.t) - t);
  const closest = cards.reduce((a, b) => (a && distance(a) <= distance(b) ? a : b), null);
  for (const card of cards) card.classList.toggle("chosen", card === closest);
}

/** Keeps a time: it stays marked when the pointer leaves, and the page's address names it. */
function keep(t) {
  kept = t;
  history.replaceState(null, "", `#t=${t.toFixed(1)}`);
  point(t);
}

function fromAddress() {
  const match = location.hash.match(/^#t=(-?\d+(\.\d+)?)$/);
  if (match) keep(Number(match[1]));
  return Boolean(match);
}

function linkPlots() {
  for (const name of [...overTime, "map"]) {
    byId(name).append(Object.assign(document.createElement("div"), { className: "mark" }));
    byId(name).on("plotly_afterplot", () => mark(name));
    byId(name).on("plotly_relayouting", () => mark(name));
  }
  for (const name of overTime) {
    const plot = byId(name);
    let pressed = null;
    plot.addEventListener("pointermove", (event) => {
      const t = timeAt(plot, event);
      if (t !== null) point(t);
    });
    plot.addEventListener("pointerleave", () => { if (kept !== null) point(kept); });
    plot.addEventListener("pointerdown", (event) => { pressed = event.clientX; }, true);
    window.addEventListener("pointerup", (event) => {
      const t = pressed !== null && Math.abs(event.clientX - pressed) < 4 ? timeAt(plot, event) : null;
      pressed = null;
      if (t !== null) keep(t);
    }, true);
    // One plot that is zoomed takes the others with it.
    plot.on("plotly_relayout", () => {
      const range = plot.layout.xaxis.range;
      for (const other of overTime.filter((key) => key !== name)) {
        const had = byId(other).layout.xaxis.range;
        if (had[0] !== range[0] || had[1] !== range[1]) Plotly.relayout(other, { "xaxis.range": [...range] });
      }
    });
  }
  const map = byId("map"), timeOf = (event) => event.points[0].customdata;
  map.on("plotly_hover", (event) => point(timeOf(event)));
  map.on("plotly_unhover", () => { if (kept !== null) point(kept); });
  map.on("plotly_click", (event) => keep(timeOf(event)));
}

function linkPictures() {
  const large = byId("large");
  large.addEventListener("click", () => large.close());
  for (const figure of document.querySelectorAll("figure")) {
    figure.querySelector("img").addEventListener("click", (event) => {
      if (figure.dataset.t) keep(Number(figure.dataset.t));
      large.querySelector("img").src = event.target.src;
      large.querySelector("p").textContent = figure.querySelector("figcaption").textContent;
      large.showModal();
    });
  }
}

draw().then(() => {
  linkPlots();
  linkPictures();
  window.addEventListener("hashchange", fromAddress);
  dark.addEventListener("change", () => location.reload());
  if (!fromAddress()) point(0);
  document.body.dataset.drawn = "true";
}).catch((error) => {
  // The error event does not come for promises.
  byId("broken").hidden = false;
  byId("broken").textContent = `A part of this page failed: ${error.message}`;
});
