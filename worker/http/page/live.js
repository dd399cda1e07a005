// The worker's figures, from the counters and histograms of its `/metrics`: what grew in a window.

const INTERVAL = 1000; // ms between two looks
const WINDOW = 10_000; // ms over which rates and quantiles are taken
const CHART_POINTS = 61; // a minute
const STAGES = {
  fetch: "fetch",
  decode: "decode",
  batch_wait: "wait for a batch",
  infer: "classify",
  draw: "draw",
  publish: "publish",
};

const $ = (id) => document.getElementById(id);

/** Parse the text exposition: `name{labels} value` lines become [{name, labels, value}]. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match === null) continue;
    const labels = {};
    for (const [, key, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = value.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
    }
    samples.push({ name: match[1], labels, value: Number(match[3].replace("Inf", "Infinity")) });
  }
  return samples;
}

/** Sum of the samples with this name and these labels. */
export function total(samples, name, labels = {}) {
  return samples
    .filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    .reduce((sum, one) => sum + one.value, 0);
}

/**
 * Quantile `q` of what a histogram took in between two looks, linear within a bucket as Prometheus'
 * histogram_quantile; null when it took in nothing.
 */
export function quantile(q, before, after, name) {
  const upTo = (samples) =>
    new Map(samples.filter((one) => one.name === `${name}_bucket`).map((one) => [one.labels.le, one.value]));
  const earlier = upTo(before);
  const buckets = [...upTo(after)]
    .map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count - (earlier.get(le) ?? 0)])
    .sort(([a], [b]) => a - b);
  const all = buckets.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  let low = 0;
  let below = 0;
  for (const [high, count] of buckets) {
    if (count >= q * all) {
      // Beyond the last bound there is nothing to be said but that.
      return high === Infinity ? low : low + ((high - low) * (q * all - below)) / (count - below);
    }
    [low, below] = [high, count];
  }
  return low;
}

const looks = [];
const history = [];

async function look() {
  if (!document.hidden) {
    try {
      const response = await fetch("metrics");
      take(parse(await response.text()), performance.now());
    } catch {
      looks.length = 0;
      showState("gone", "The worker does not answer");
    }
  }
  setTimeout(look, INTERVAL);
}

function take(samples, time) {
  const images = total(samples, "classify_images_total");
  const last = looks.at(-1);
  // Counters that went back are another process's.
  if (last !== undefined && images < total(last.samples, "classify_images_total")) looks.length = 0;
  looks.push({ samples, time });
  while (looks.length > 2 && looks[1].time <= time - WINDOW) looks.shift();
  show(looks[0], looks.at(-1));
}

function show(before, after) {
  const grown = (name, labels) => total(after.samples, name, labels) - total(before.samples, name, labels);
  const seconds = (after.time - before.time) / 1000;
  showWorker(after.samples);
  if (seconds === 0) return;

  const rate = grown("classify_images_total") / seconds;
  put("throughput", rate, rate < 10 ? 1 : 0);
  showChart(rate);

  const batches = grown("classify_batch_size_images_count");
  put("batch", batches > 0 ? grown("classify_batch_size_images_sum") / batches : null, 1);
  const failure = { outcome: "failure" };
  put("failed", grown("classify_http_requests_total", failure) + grown("classify_jobs_total", failure), 0);

  for (const [door, name] of [["http", "classify_http_request_duration_seconds"], ["kafka", "classify_latency_seconds"]]) {
    for (const [id, q] of [["median", 0.5], ["tail", 0.99]]) {
      const value = quantile(q, before.samples, after.samples, name);
      put(`${door}-${id}`, value === null ? null : 1000 * value, 0);
    }
  }
  showStages(grown);
}

function showWorker(samples) {
  const model = samples.find((one) => one.name === "classify_model_info");
  if (model !== undefined) $("model").textContent = `${model.labels.name} on ${model.labels.device}`;
  const ready = total(samples, "classify_ready") === 1;
  showState(ready ? "ready" : "waiting", ready ? "Ready" : "Not ready");
  $("kafka").hidden = total(samples, "classify_rebalances_total") === 0;
}

function showState(state, text) {
  if ($("state").dataset.state === state) return;
  $("state").dataset.state = state;
  $("state").textContent = text;
}

function showStages(grown) {
  const name = "classify_stage_duration_seconds";
  const means = Object.keys(STAGES)
    .map((stage) => [stage, grown(`${name}_count`, { stage }), grown(`${name}_sum`, { stage })])
    .filter(([, count]) => count > 0)
    .map(([stage, count, sum]) => [stage, (1000 * sum) / count]);
  $("stages-empty").hidden = means.length > 0;
  $("stages-bar").hidden = means.length === 0;
  $("stages-bar").replaceChildren(
    ...means.map(([stage, mean]) => {
      const part = document.createElement("i");
      part.dataset.stage = stage;
      part.style.flexGrow = mean;
      return part;
    }),
  );
  $("stages").replaceChildren(
    ...means.map(([stage, mean]) => {
      const item = document.createElement("li");
      item.dataset.stage = stage;
      item.textContent = `${STAGES[stage]} ${mean.toFixed(1)} ms`;
      return item;
    }),
  );
}

function showChart(rate) {
  history.push(rate);
  if (history.length > CHART_POINTS) history.shift();
  const highest = Math.max(1, ...history);
  const offset = CHART_POINTS - history.length;
  const points = history.map((value, index) => `${offset + index},${(27 - (26 * value) / highest).toFixed(1)}`);
  $("line").setAttribute("points", points.join(" "));
  $("area").setAttribute("d", `M${offset},28 L${points.join(" L")} L${CHART_POINTS - 1},28 Z`);
}

function put(id, value, digits) {
  $(id).textContent = value === null ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits });
}

look();
