// The worker's figures: how much the counters and histograms of `/metrics` grew in a window.
// With `http.metrics_port` there are none here, and the page does without.

import { $, counted, element } from "./dom.js";
import { bound, parse, total } from "./exposition.js";
import { showGone, showHealth, showState } from "./state.js";
import { authorization, wantsToken } from "./token.js";

const INTERVAL = 1000; // ms between two scrapes
const WINDOW = 10_000; // ms over which figures are taken
const CHART_POINTS = 61; // a minute
const ENOUGH_FOR_A_TAIL = 100; // requests of which 99 of 100 can be said
const STAGES = {
  fetch: "fetch",
  decode: "decode",
  batch_wait: "wait for a batch",
  infer: "classify",
  draw: "draw",
  publish: "publish",
};

const scrapes = [];
const history = [];
let elsewhere = false; // whether metrics have a port of their own

async function scrape() {
  if (!document.hidden) {
    try {
      if (!elsewhere) await scrapeMetrics();
      if (elsewhere) await showHealth();
    } catch {
      scrapes.length = 0;
      showGone();
    }
  }
  setTimeout(scrape, INTERVAL);
}

async function scrapeMetrics() {
  const response = await fetch("metrics", { headers: authorization() });
  elsewhere = response.status === 404;
  // 403: it wants a certificate that this browser does not have.
  const closed = wantsToken(response.status) || response.status === 403;
  for (const part of document.querySelectorAll("[data-needs-metrics]")) part.hidden = elsewhere || closed;
  if (elsewhere) return;
  if (!response.ok) return showHealth();
  const samples = parse(await response.text());
  take(samples, performance.now());
  await showState(total(samples, "classify_ready") === 1);
}

function take(samples, time) {
  const images = total(samples, "classify_images_total");
  const last = scrapes.at(-1);
  // Counters that decreased are those of another process.
  if (last !== undefined && images < total(last.samples, "classify_images_total")) scrapes.length = 0;
  scrapes.push({ samples, time });
  while (scrapes.length > 2 && scrapes[1].time <= time - WINDOW) scrapes.shift();
  showWorker(samples);
  if (scrapes.length > 1) showFigures(scrapes[0], scrapes.at(-1));
}

function showWorker(samples) {
  const labels = (name) => samples.find((one) => one.name === name)?.labels;
  const model = labels("classify_model_info");
  if (model !== undefined) $("model").textContent = `${model.name} on ${model.device}`;
  const build = labels("classify_build_info");
  if (build !== undefined) $("version").textContent = `classify-worker ${build.version}`;
  $("kafka").hidden = total(samples, "classify_rebalances_total") === 0;
}

function showFigures(before, after) {
  const grown = (name, labels) => total(after.samples, name, labels) - total(before.samples, name, labels);
  const seconds = (after.time - before.time) / 1000;
  $("window").textContent = `over the last ${counted(Math.max(1, Math.round(seconds)), "second")}`;

  const rate = grown("classify_images_total") / seconds;
  put("throughput", rate, rate < 10 ? 1 : 0);
  showChart(rate);

  const batches = grown("classify_batch_size_images_count");
  put("batch", batches > 0 ? grown("classify_batch_size_images_sum") / batches : null, 1);
  const failure = { outcome: "failure" };
  put("failed", grown("classify_http_requests_total", failure) + grown("classify_jobs_total", failure), 0);

  showLatency("http", "request", "classify_http_request_duration_seconds");
  showLatency("kafka", "job", "classify_latency_seconds");
  showStages(grown);

  function showLatency(group, noun, name) {
    const count = grown(`${name}_count`);
    const within = (q) => bound(q, before.samples, after.samples, name);
    put(`${group}-mean`, count > 0 ? (1000 * grown(`${name}_sum`)) / count : null, 0);
    $(`${group}-count`).textContent = count > 1 ? `mean of ${counted(count, noun)}` : count === 1 ? `one ${noun}` : `no ${noun}`;
    // One observation has no distribution.
    $(`${group}-bounds`).hidden = count < 2;
    if (count < 2) return;
    put(`${group}-half`, 1000 * within(0.5), 0);
    $(`${group}-share`).textContent = count < ENOUGH_FOR_A_TAIL ? "all" : "99 of 100";
    put(`${group}-tail`, 1000 * within(count < ENOUGH_FOR_A_TAIL ? 1 : 0.99), 0);
  }
}

function showStages(grown) {
  const name = "classify_stage_duration_seconds";
  const means = Object.keys(STAGES)
    .map((stage) => [stage, grown(`${name}_count`, { stage }), grown(`${name}_sum`, { stage })])
    .filter(([, count]) => count > 0)
    .map(([stage, count, sum]) => [stage, (1000 * sum) / count]);
  for (const id of ["stages-bar", "stages"]) $(id).hidden = means.length === 0;
  $("stages-empty").hidden = means.length > 0;
  const all = means.reduce((sum, [, mean]) => sum + mean, 0);
  $("stages-bar").replaceChildren(
    ...means.map(([stage, mean]) => {
      const part = element("i");
      part.dataset.stage = stage;
      // As a share: factors that add up to less than 1 leave a part of the bar empty.
      part.style.flexGrow = (100 * mean) / all;
      return part;
    }),
  );
  $("stages").replaceChildren(
    ...means.map(([stage, mean]) => {
      const item = element("li", { textContent: `${STAGES[stage]} ${mean.toFixed(1)} ms` });
      item.dataset.stage = stage;
      return item;
    }),
  );
}

function showChart(rate) {
  history.push(rate);
  if (history.length > CHART_POINTS) history.shift();
  if (history.length < 2) return;
  const highest = Math.max(1, ...history);
  const last = history.length - 1;
  const points = history.map((value, index) => `${index},${(27 - (26 * value) / highest).toFixed(1)}`);
  $("chart").setAttribute("viewBox", `0 0 ${last} 28`);
  $("line").setAttribute("points", points.join(" "));
  $("area").setAttribute("d", `M0,28 L${points.join(" L")} L${last},28 Z`);
  $("chart-span").textContent = `the last ${counted(Math.round((last * INTERVAL) / 1000), "second")}`;
}

function put(id, value, digits) {
  $(id).textContent = value === null ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits });
}

scrape();
