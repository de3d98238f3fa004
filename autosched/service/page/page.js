"use strict";
// All that others named (studies, files, layers, ttnn's words) becomes text, never markup.

const POLL_MS = 3000, DETAIL_MS = 2000, MOST_DOTS = 800, SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
const now = { number: null, detail: null, points: [], bound: null, stream: null, due: 0, turn: 0 };

function made(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function drawn(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const plural = (count, noun) => `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
const micro = (us) => us == null ? "-"
  : us.toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percent = (share) => share == null ? "-" : `${(100 * share).toFixed(1)} %`;
const kib = (bytes) => bytes ? Math.ceil(bytes / 1024).toLocaleString("en-US") : "-";
const moment = (text) => text ? new Date(text).toLocaleString() : "-";
const timed = (us, kind) => us == null ? "-" : `${micro(us)} µs (${kind})`;

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Refused(0, "The service cannot be reached; trying again.");
  }
  if (answer.status === 204) return null;
  const found = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  if (!answer.ok) throw new Refused(answer.status, found.error || `status ${answer.status}`);
  return found;
}

const posted = (path, body) => asked(path, {
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
});

function told(error) {
  if (error instanceof Refused && error.status === 401) {
    $("login").hidden = false;
    $("inside").hidden = true;
    leave();
    return;
  }
  $("trouble").textContent = error.message;
  $("trouble").hidden = false;
}

function filled(table, columns, rows) {
  const head = made("tr");
  for (const [title, kind] of columns) head.append(made("th", { text: title, class: kind || "" }));
  const body = made("tbody");
  for (const row of rows) {
    const line = made("tr", { class: row.chosen ? "chosen" : "" });
    row.cells.forEach((cell, place) => {
      const box = made("td", { class: columns[place][1] || "" });
      box.append(cell instanceof Node ? cell : document.createTextNode(cell == null ? "-" : String(cell)));
      line.append(box);
    });
    body.append(line);
  }
  $(table).replaceChildren(...(rows.length ? [made("thead", {}, head), body] : []));
}

const stateOf = (item) => made("span", {
  class: `state s-${item.state}`,
  text: item.cancel_asked && item.state === "running" ? "cancelling" : item.state,
});

// The list, and who works

async function listed() {
  const [list, workers] = await Promise.all([asked("api/studies?limit=200"), asked("api/workers")]);
  $("login").hidden = true;
  $("inside").hidden = false;
  $("trouble").hidden = true;
  $("logout").hidden = !workers.takes_token;
  $("no-studies").hidden = list.studies.length > 0;
  filled("studies", [["Study"], ["State"], ["Network"], ["Board"], ["Trials", "n"], ["Best so far", "n"],
    ["Submitted"]],
    list.studies.map((item) => ({
      chosen: item.id === now.number,
      cells: [made("a", { href: `#${item.id}`, text: item.study }), stateOf(item), item.network,
        item.board, item.trials, timed(item.best_us, item.best_kind), moment(item.created_at)],
    })));
  $("about").textContent = `Service ${workers.service}, autosched ${workers.version}`;
  $("workers-about").textContent = `${plural(workers.waiting, "study").replace("studys", "studies")} waiting. `
    + "Each board has one study at a time.";
  filled("workers", [["Board"], ["Runs"], ["Process", "n"]], [
    ...workers.runners.map((runner) => ({ cells: [runner.board,
      runner.submission == null ? "nothing" : made("a", { href: `#${runner.submission}`, text: runner.study }),
      runner.process] })),
    ...workers.cluster.map((worker) => ({ cells: [worker.board || worker.device,
      `${worker.devices} × ${worker.device}, ttnn ${worker.ttnn_version}, at ${worker.address}`
        + (worker.left_out ? ` (left out: it ${worker.left_out})` : ""), "-"] })),
  ]);
}

async function surroundings() {
  const [found, quarantine] = await Promise.all([asked("api/networks"), asked("api/quarantine")]);
  const form = $("submit-form");
  form.network.replaceChildren(...found.networks.map((name) => made("option", { text: name })));
  form.board.replaceChildren(...found.boards.map((name) => made("option", { text: name })));
  $("upload").hidden = !found.uploads;
  $("quarantine-count").textContent = `(${quarantine.quarantined.length})`;
  filled("quarantine", [["Number", "n"], ["Layer"], ["Configuration", "words"], ["Board"], ["What it did", "words"]],
    quarantine.quarantined.map((item) => ({ cells: [item.number, item.layers[0] || item.layer_signature,
      item.configuration, `${item.board} (${item.device_kind})`, `${item.kind}: ${item.message}`] })));
}

// One study

function leave() {
  if (now.stream) now.stream.close();
  Object.assign(now, { number: null, detail: null, points: [], bound: null, stream: null });
  now.turn += 1;
  $("study").hidden = true;
}

async function entered(number) {
  leave();
  const turn = now.turn;
  now.number = number;
  await detailed();
  let after = -1;
  while (after !== null && turn === now.turn) {
    const curve = await asked(`api/studies/${number}/curve?after=${after}`);
    if (turn !== now.turn) return;
    now.points.push(...curve.points);
    now.bound = curve.bound || now.bound;
    after = curve.next;
  }
  if (turn !== now.turn) return;
  draw();
  follow(number, turn);
}

function follow(number, turn) {
  const last = now.points.length ? now.points[now.points.length - 1].trial : -1;
  const stream = new EventSource(`api/studies/${number}/events?after=${last}`);
  now.stream = stream;
  stream.addEventListener("trial", (event) => {
    const point = JSON.parse(event.data);
    const newest = now.points.length ? now.points[now.points.length - 1].trial : -1;
    if (point.trial > newest) now.points.push(point);
    soon();
  });
  stream.addEventListener("bound", (event) => { now.bound = JSON.parse(event.data); soon(); });
  stream.addEventListener("state", soon);
  stream.addEventListener("end", () => { stream.close(); soon(); listed().catch(told); });

  let waits = false;
  function soon() {
    if (waits || turn !== now.turn) return;
    waits = true;
    setTimeout(() => {
      waits = false;
      if (turn !== now.turn) return;
      draw();
      detailed().catch(told);
    }, Math.max(50, now.due - Date.now()));
  }
}

function card(title, value, unit, note) {
  const big = made("b", { text: value });
  if (unit) big.append(made("small", { text: ` ${unit}` }));
  return made("div", { class: "card" }, made("span", { text: title }), big, made("span", { text: note }));
}

async function detailed() {
  const number = now.number;
  now.due = Date.now() + DETAIL_MS;
  const found = await asked(`api/studies/${number}`);
  if (number !== now.number) return;
  now.detail = found;
  now.bound = found.bound || now.bound;
  $("study").hidden = false;
  $("study-name").replaceChildren(found.study, " ", stateOf(found));
  $("study-about").textContent = `${found.network} on ${found.board}, submitted ${moment(found.created_at)}`
    + (found.ended_at ? `, ended ${moment(found.ended_at)}` : "");
  $("study-message").textContent = found.state === "finished" ? `The search ended: ${found.message}` : found.message;
  $("study-message").hidden = !found.message;
  const runs = found.state === "running" || found.state === "waiting";
  $("cancel").hidden = !runs;
  $("cancel").disabled = found.cancel_asked;
  for (const [id, ending] of [["fetch-json", "json"], ["fetch-module", "py"]]) {
    $(id).hidden = !found.best;
    $(id).href = `api/studies/${number}/schedule.${ending}`;
  }
  cards(found);
  tables(found);
  $("says").textContent = found.says.join("\n") || "nothing yet";
  $("asked").textContent = JSON.stringify(found.options, null, 2);
}

function cards(found) {
  const best = found.best, bound = found.bound;
  const around = best && best.latency_std_us != null ? `± ${micro(best.latency_std_us)}, ` : "";
  const gain = best && found.default_us ? `${(found.default_us / best.latency_us).toFixed(2)}x` : "-";
  $("cards").replaceChildren(
    best ? card("Best so far", micro(best.latency_us), "µs", `${around}${best.latency_kind}, trial ${best.trial}`)
      : card("Best so far", "none yet", "", "no trial has run on the device yet"),
    bound ? card("Proven lower bound", micro(bound.bound_us), "µs", `${bound.bound_kind}, of the probed choices`)
      : card("Proven lower bound", "none yet", "", found.unprobed || "not proven yet"),
    card("Gap to the bound", found.gap == null ? "-" : percent(found.gap), "", "of the bound"),
    card("Gain", gain, "", found.default_us == null ? "ttnn's default has not run"
      : `ttnn's default: ${timed(found.default_us, found.default_kind)}`),
    card("Trials", found.trials.toLocaleString("en-US"), "",
      found.probes == null ? plural(found.trials - found.complete, "rejection")
        : `${plural(found.probes, "probe")} known`));
}

function tables(found) {
  const kinds = found.best ? `, times ${found.best.latency_kind}` : "";
  $("layers-count").textContent = `(${found.layers.length}${kinds})`;
  $("edges-count").textContent = `(${found.edges.length}${kinds})`;
  const timeOf = (item) => item.time_us == null ? "-" : `${micro(item.time_us)} ${item.time_kind}`;
  filled("layers", [["Layer"], ["Configuration", "words"], ["Time, µs", "n"], ["Share", "n"], ["Cores", "n"], ["L1 KiB", "n"]],
    found.layers.map((item) => ({ cells: [item.layer, item.configuration, timeOf(item), percent(item.share),
      item.cores || "-", kib(item.l1_bytes)] })));
  filled("edges", [["From"], ["To"], ["Layouts", "words"], ["By"], ["Time, µs", "n"]],
    found.edges.map((item) => ({ cells: [item.producer || "(ttnn)", item.consumer || "(ttnn)", item.change,
      item.by, timeOf(item)] })));
  const { trials, probes, left_out } = found.rejections;
  const names = [...new Set([...Object.keys(probes), ...Object.keys(trials)])];
  $("rejections-count").textContent = `(${names.length ? plural(names.length, "kind") : "none known"})`;
  filled("rejections", [["Kind"], ["Probes", "n"], ["Trials", "n"]], [
    ...names.map((name) => ({ cells: [name.replaceAll("_", " "), probes[name] || 0, trials[name] || 0] })),
    ...Object.entries(left_out).map(([why, count]) => ({ cells: [`left out: ${why}`, count, 0] })),
  ]);
}

// The curve

function draw() {
  const box = $("curve"), width = Math.max(260, box.clientWidth), height = 250;
  const left = 62, right = 12, top = 10, bottom = 26;
  const ran = now.points.filter((point) => point.latency_us != null && point.state === "complete");
  const bound = now.bound;
  legend(ran, bound);
  if (!ran.length) {
    box.replaceChildren(made("p", { class: "about", text: "No trial has run on the device yet." }));
    return;
  }
  const kind = now.points[now.points.length - 1].best_kind;
  const shown = ran.filter((point) => point.latency_kind === kind);
  const byTime = $("by-time").checked, isLog = $("log").checked;
  const place = (point) => byTime ? point.at_s : point.trial;
  const values = shown.map((point) => point.latency_us).concat(bound ? [bound.bound_us] : []);
  let low = Math.min(...values), high = Math.max(...values);
  if (isLog) { low /= 1.06; high *= 1.06; } else { high += 0.06 * (high - low || high); low = Math.max(0, low - 0.12 * (high - low)); }
  const last = Math.max(byTime ? 1 : 1, ...now.points.map(place)), first = Math.min(0, ...now.points.map(place));
  const x = (value) => left + (value - first) / (last - first) * (width - left - right);
  const scale = (value) => isLog ? Math.log(value) : value;
  const y = (value) => top + (scale(high) - scale(value)) / (scale(high) - scale(low) || 1) * (height - top - bottom);
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}` });
  for (const tick of ticks(low, high, isLog)) {
    picture.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      drawn("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, tick >= 100
        ? Math.round(tick).toLocaleString("en-US") : String(+tick.toPrecision(3))));
  }
  picture.append(drawn("line", { class: "frame", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    drawn("text", { x: left, y: height - 7 }, byTime ? "0 s" : `trial ${first}`),
    drawn("text", { x: width - right, y: height - 7, "text-anchor": "end" }, byTime ? `${last.toFixed(0)} s` : `trial ${last}`),
    drawn("text", { x: (left + width - right) / 2, y: height - 7, "text-anchor": "middle" }, `µs, ${kind}`));
  if (bound) picture.append(drawn("line", { class: "bound", x1: left, x2: width - right, y1: y(bound.bound_us), y2: y(bound.bound_us) }));
  let path = "", best = Infinity;
  const improving = new Set();
  for (const point of shown) {
    if (point.latency_us >= best) continue;
    path += path ? `H${x(place(point)).toFixed(1)}V${y(point.latency_us).toFixed(1)}` : `M${x(place(point)).toFixed(1)} ${y(point.latency_us).toFixed(1)}`;
    best = point.latency_us;
    improving.add(point);
  }
  const each = Math.ceil(shown.length / MOST_DOTS);
  shown.forEach((point, index) => {
    if (index % each && !improving.has(point)) return;
    const dot = drawn("circle", { cx: x(place(point)).toFixed(1), cy: y(point.latency_us).toFixed(1), r: 3, class: improving.has(point) ? "new" : "" });
    dot.append(drawn("title", {}, `trial ${point.trial}, ${point.sampler}: ${timed(point.latency_us, point.latency_kind)}`));
    picture.append(dot);
  });
  picture.append(drawn("path", { class: "best", d: `${path}H${x(last).toFixed(1)}` }));
  picture.dataset.trials = String(now.points.length);
  box.replaceChildren(picture);
}

function legend(ran, bound) {
  const last = now.points.length ? now.points[now.points.length - 1] : null;
  const parts = [];
  if (last && last.best_us != null) parts.push(made("span", { class: "l-best", text: `best so far: ${timed(last.best_us, last.best_kind)}` }));
  if (bound) parts.push(made("span", { class: "l-bound", text: `bound: ${timed(bound.bound_us, bound.bound_kind)}` }));
  if (ran.length) parts.push(made("span", { class: "l-trial", text: `${plural(ran.length, "trial")} that ran of ${now.points.length.toLocaleString("en-US")}` }));
  $("legend").replaceChildren(...parts);
}

function ticks(low, high, isLog) {
  if (isLog) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      for (const digit of [1, 2, 3, 5, 7]) {
        const tick = digit * 10 ** power;
        if (tick >= low && tick <= high) found.push(tick);
      }
    }
    if (found.length >= 2) return found.length > 8 ? found.filter((tick) => /^[15]/.test(tick.toExponential())) : found;
  }
  const raw = (high - low || high) / 4, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= raw) || raw;
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) found.push(tick);
  return found;
}

// Forms and buttons

async function submitted(event) {
  event.preventDefault();
  const form = $("submit-form"), said = $("submit-said"), options = {};
  said.textContent = "";
  try {
    for (const name of ["effort", "device", "formats", "sampler"]) if (form[name].value) options[name] = form[name].value;
    for (const name of ["trials", "timeout_s", "batch", "min_pcc", "seed"]) if (form[name].value !== "") options[name] = Number(form[name].value);
    if (form.start.files.length) options.start = JSON.parse(await form.start.files[0].text());
    let network = form.network.value;
    if (form.file.files.length) {
      const file = form.file.files[0];
      const kept = await asked(`api/networks?name=${encodeURIComponent(file.name)}`,
        { method: "POST", headers: { "content-type": "text/x-python" }, body: file });
      network = kept.network;
    }
    const body = { network, board: form.board.value, options };
    if (form.elements.namedItem("name").value) body.name = form.elements.namedItem("name").value;
    const made = await posted("api/studies", body);
    location.hash = String(made.id);
    await listed();
    if (form.file.files.length) { form.file.value = ""; await surroundings(); }
  } catch (error) {
    if (error instanceof Refused && error.status === 401) told(error);
    else said.textContent = error instanceof SyntaxError ? `The schedule is no JSON: ${error.message}` : error.message;
  }
}

async function loggedIn(event) {
  event.preventDefault();
  const field = $("login-form").token;
  try {
    await posted("api/login", { token: field.value });
    field.value = "";
    await begin();
  } catch (error) {
    $("trouble").textContent = error.message;
    $("trouble").hidden = false;
  }
}

async function cancelled() {
  $("cancel").disabled = true;
  try {
    await posted(`api/studies/${now.number}/cancel`, {});
    await Promise.all([detailed(), listed()]);
  } catch (error) { told(error); }
}

async function chosen() {
  const number = Number(location.hash.slice(1));
  try {
    if (Number.isInteger(number) && number > 0) await entered(number);
    else leave();
    await listed();
  } catch (error) { told(error); }
}

async function begin() {
  await surroundings();
  await chosen();
}

$("submit-form").addEventListener("submit", submitted);
$("login-form").addEventListener("submit", loggedIn);
$("cancel").addEventListener("click", cancelled);
$("logout").addEventListener("click", () => posted("api/logout", {}).then(() => location.reload(), told));
$("log").addEventListener("change", draw);
$("by-time").addEventListener("change", draw);
window.addEventListener("hashchange", chosen);
new ResizeObserver(() => { if (now.number !== null && now.detail) draw(); }).observe($("curve"));
setInterval(() => { if (!document.hidden && !$("inside").hidden) listed().catch(told); }, POLL_MS);
begin().catch(told);
