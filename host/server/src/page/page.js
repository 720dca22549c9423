// The page of transducer-host: asks /v1/adapters what there is, and makes the form from each adapter's own schema.
"use strict";

const $ = (id) => document.getElementById(id);

// Code with enough flow in it for a graph worth looking at; tasks bring examples of their own beside it.
const SAMPLES = {
  java: `int firstIndexOf(int[] values, int wanted) {
    for (int i = 0; i < values.length; i++) {
        if (values[i] == wanted) {
            return i;
        }
    }
    return -1;
}`,
  python: `def read_lines(path, limit=None):
    lines = []
    with open(path) as file:
        for line in file:
            if limit is not None and len(lines) >= limit:
                break
            lines.append(line.rstrip())
    return lines`,
};

// One hue a stage, told apart in light and dark.
const COLOURS = ["#8c6bb1", "#2b8cbe", "#4eb3d3", "#e6550d", "#969696", "#fdae6b", "#31a354", "#c994c7"];
const STAGES = ["prepare", "cpg", "embed", "transducer", "queue", "prefill", "decode", "finish"];

let adapters = [];
let exampleNumber = 0;
let running = null; // the AbortController of the request that runs
let drawing = null; // the same of the picture
let drawLater = 0;
let picture = null; // URL of the picture shown

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// What the server is asked, with the key if there is one. Without the right one, the field for it appears.
async function ask(path, options = {}) {
  const key = sessionStorage.getItem("key");
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) {
    $("key-form").hidden = false;
    $("key").focus();
  }
  return response;
}

async function errorOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the server answered ${response.status} ${response.statusText}`;
  }
}

function show(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
}

const chosen = () => adapters.find((adapter) => adapter.name === $("adapter").value);
const inputs = () => [...$("fields").querySelectorAll("[name]")];

// ---- What there is

async function load() {
  try {
    const health = await fetch("/health");
    const state = await health.json();
    if (!health.ok) {
      show("model", state.stage ? `loading: ${state.stage}` : state.status);
      setTimeout(load, 700);
      return;
    }
    const model = state.model;
    show("model", `${model.name} · ${model.precision} on ${model.device} · context ${model.context}`);
    const response = await ask("/v1/adapters");
    if (response.status === 401) return;
    if (!response.ok) throw new Error(await errorOf(response));
    adapters = (await response.json()).data;
  } catch (error) {
    show("model", `the server cannot be reached (${error.message}); trying again`);
    setTimeout(load, 2000);
    return;
  }
  const before = $("adapter").value || location.hash.slice(1);
  $("adapter").replaceChildren(...adapters.map((adapter) => {
    const broken = adapter.state !== "ready";
    return element("option", { value: adapter.name, textContent: adapter.name + (broken ? " (broken)" : "") });
  }));
  if (!adapters.length) {
    show("error", "The adapters directory has no bundles: copy one into it, and reload this page.");
    return;
  }
  const first = adapters.find((adapter) => adapter.name === before)
    || adapters.find((adapter) => adapter.trained) || adapters[0];
  $("adapter").value = first.name;
  $("adapter").disabled = false;
  choose();
}

// ---- The form

function choose() {
  const adapter = chosen();
  const ready = adapter.state === "ready";
  history.replaceState(null, "", `#${adapter.name}`);
  show("summary", adapter.summary || "");
  const warnings = [];
  if (!ready) warnings.push(`Cannot be used: ${adapter.error}`);
  if (ready && !adapter.trained) warnings.push("It has no trained weights: it answers as the frozen LLM does.");
  if (adapter.last_error) warnings.push(`An older generation answers, for the bundle is broken: ${adapter.last_error}`);
  show("warning", warnings.join(" "));
  const schema = ready ? adapter.request_schema : {};
  const required = schema.required || [];
  const properties = Object.entries(schema.properties || {});
  $("fields").replaceChildren(...properties.map(([name, property]) => field(name, property, required.includes(name))));
  $("example").hidden = !ready || examples().length < 2;
  if (!running) $("run").disabled = !ready;
  exampleNumber = 0;
  example();
}

function field(name, property, required) {
  const id = `field-${name}`;
  let input;
  if (property.enum) {
    const options = property.enum.map((value) => element("option", { value, textContent: value }));
    if (!required) options.unshift(element("option", { value: "", textContent: property.default ? `${property.default} (default)` : "(left out)" }));
    input = element("select", {}, ...options);
  } else if (property.type === "boolean") {
    input = element("input", { type: "checkbox" });
  } else if (property.type === "integer" || property.type === "number") {
    input = element("input", { type: "number", step: property.type === "integer" ? "1" : "any" });
  } else {
    input = element("textarea", { rows: name === "code" ? 12 : 5, spellcheck: false, autocapitalize: "off" });
  }
  Object.assign(input, { id, name, required });
  const hint = element("p", { id: `${id}-hint`, className: "hint", textContent: property.description || "" });
  input.setAttribute("aria-describedby", hint.id);
  const title = name.replaceAll("_", " ");
  const label = element("label", { htmlFor: id, textContent: required ? title : `${title} (optional)` });
  return element("div", { className: "field" }, label, input, ...(property.description ? [hint] : []));
}

// What the adapter's task offers, as far as it is in the adapter's language, after a sample where any code will do.
function examples() {
  const adapter = chosen();
  const { languages = [], examples: own = [], request_schema: schema = {} } = adapter;
  const named = own.filter((example) => languages.includes(example.request.language));
  const offered = (named.length ? named : own.filter((example) => !example.request.language)).map((example) => example.request);
  const sample = SAMPLES[languages[0]];
  const code = schema.properties?.code;
  if (sample && code && !code.pattern) offered.unshift({ code: sample });
  return offered;
}

function example() {
  const offered = examples();
  const request = offered.length ? offered[exampleNumber++ % offered.length] : {};
  for (const input of inputs()) {
    if (input.type === "checkbox") input.checked = request[input.name] === true;
    else input.value = request[input.name] ?? "";
  }
  draw();
}

function request() {
  const adapter = chosen();
  const body = {};
  for (const input of inputs()) {
    const property = adapter.request_schema.properties[input.name];
    if (property.type === "boolean") body[input.name] = input.checked;
    else if (input.value === "") continue;
    else if (input.type === "number") body[input.name] = Number(input.value);
    else body[input.name] = input.value;
  }
  return body;
}

// ---- The answer

async function run() {
  if (running || $("run").disabled) return;
  running = new AbortController();
  $("run").disabled = true;
  $("cancel").disabled = false;
  $("answer").textContent = "";
  $("answer").classList.add("running");
  $("notes").replaceChildren();
  $("facts").hidden = true;
  show("error", "");
  try {
    const response = await ask(`/v1/tasks/${encodeURIComponent(chosen().name)}?stream=true`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request()),
      signal: running.signal,
    });
    if (!response.ok) throw new Error(await errorOf(response));
    let ended = false;
    for await (const { event, data } of events(response.body)) {
      if (event === "text") $("answer").textContent += JSON.parse(data).text;
      else if (event === "answer") answer(JSON.parse(data));
      else if (event === "error") throw new Error(JSON.parse(data).error.message);
      else if (data === "[DONE]") ended = true;
    }
    if (!ended) throw new Error("the connection broke before the answer was complete");
  } catch (error) {
    show("error", error.name === "AbortError" ? "Cancelled." : error.message);
  } finally {
    running = null;
    $("answer").classList.remove("running");
    $("cancel").disabled = true;
    $("run").disabled = chosen().state !== "ready";
  }
}

// Server-sent events out of a body; EventSource can only GET.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = { event: "message", data: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) event.event = line.slice(7);
        else if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      if (event.data) yield event;
    }
  }
}

function answer(said) {
  $("answer").textContent = said.text || "(the model wrote no answer)";
  $("notes").replaceChildren(...said.diagnostics.map((note) =>
    element("li", { textContent: `${note.severity}: ${note.message}` })));
  const total = said.timings.total_ms;
  const svg = "http://www.w3.org/2000/svg";
  const bar = document.createElementNS(svg, "svg");
  bar.setAttribute("viewBox", "0 0 100 1");
  bar.setAttribute("preserveAspectRatio", "none");
  let start = 0;
  const rows = STAGES.map((stage, number) => {
    const time = said.timings[`${stage}_ms`];
    const part = document.createElementNS(svg, "rect");
    const facts = { x: start, y: 0, width: (100 * time) / total, height: 1, fill: COLOURS[number] };
    for (const [name, value] of Object.entries(facts)) part.setAttribute(name, value);
    start += facts.width;
    bar.append(part);
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = COLOURS[number];
    const name = element("th", { scope: "row" }, swatch, stage);
    return element("tr", {}, name, element("td", { textContent: `${time.toFixed(1)} ms` }));
  });
  rows.push(element("tr", { className: "total" },
    element("th", { scope: "row", textContent: "total" }), element("td", { textContent: `${total.toFixed(1)} ms` })));
  $("bar").replaceChildren(bar);
  $("times").replaceChildren(...rows);
  show("tokens", `${said.usage.prompt_tokens} in the prompt, ${said.usage.completion_tokens} generated`);
  show("generation", said.generation);
  $("facts").hidden = false;
}

// ---- The graph

async function draw() {
  clearTimeout(drawLater);
  drawing?.abort();
  const adapter = chosen();
  const body = adapter.state === "ready" ? request() : {};
  const edges = [...$("edges").querySelectorAll(":checked")].map((box) => box.value);
  if (!body.code?.trim() || !edges.length) {
    $("graph").replaceChildren();
    show("graph-error", edges.length ? "Nothing to draw yet." : "No edges are chosen.");
    return;
  }
  const language = body.language || body.from || adapter.languages[0];
  drawing = new AbortController();
  $("graph").classList.add("stale");
  try {
    const response = await ask("/v1/cpg?format=svg", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ language, code: body.code, edges }),
      signal: drawing.signal,
    });
    if (!response.ok) throw new Error(await errorOf(response));
    const url = URL.createObjectURL(await response.blob());
    const image = element("img", { src: url, alt: "The statements of the code, and the control and data flow between them" });
    $("graph").replaceChildren(image);
    if (picture) URL.revokeObjectURL(picture);
    picture = url;
    show("graph-error", "");
  } catch (error) {
    if (error.name === "AbortError") return;
    $("graph").replaceChildren();
    show("graph-error", error.message);
  }
  $("graph").classList.remove("stale");
}

function drawSoon() {
  clearTimeout(drawLater);
  drawLater = setTimeout(draw, 500);
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", $("key").value.trim());
  $("key").value = "";
  $("key-form").hidden = true;
  load();
});
$("adapter").addEventListener("change", choose);
$("fields").addEventListener("input", drawSoon);
$("edges").addEventListener("change", draw);
$("example").addEventListener("click", example);
$("cancel").addEventListener("click", () => running?.abort());
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if ($("form").reportValidity()) run();
  } else if (event.key === "Escape") {
    running?.abort();
  }
});
load();
