// The worker's state, in words: what `/readyz` says is missing.

import { $ } from "./dom.js";

/** Reasons of `/readyz`, the one that explains most first. */
const REASONS = [
  ["draining", "waiting", "Stopping"],
  ["pulling the model", "starting", "Starting, downloading the model"],
  ["measuring backends", "starting", "Starting, measuring backends"],
  ["waiting for another worker to measure backends", "starting", "Starting, another worker measures backends"],
  ["not warm", "starting", "Starting, loading the model"],
  ["no broker answers", "waiting", "Not ready: no Kafka broker answers"],
  ["not assigned", "starting", "Starting, waiting for Kafka's partitions"],
  ["not publishing", "waiting", "Not ready: Kafka takes no results"],
];

/** Show that the worker is ready, or ask it why it is not. Rejects when it does not answer. */
export async function showState(ready) {
  if (ready) return show("ready", "Ready");
  const response = await fetch("readyz");
  const reasons = (await response.text()).trim().split("\n");
  if (response.ok) return show("ready", "Ready");
  explain(reasons);
}

/** Show what `/health` says, where `/readyz` has another port. Rejects when it does not answer. */
export async function showHealth() {
  const response = await fetch("health");
  if (response.ok) return show("ready", "Ready");
  explain((await response.json()).errorMsg.split(", "));
}

function explain(reasons) {
  const [, state, words] =
    REASONS.find(([reason]) => reasons.includes(reason)) ?? ["", "waiting", `Not ready: ${reasons.join(", ")}`];
  show(state, words);
}

/** Show that the worker does not answer. */
export function showGone() {
  show("gone", "The worker does not answer");
}

function show(state, words) {
  if ($("state").textContent === words) return;
  $("state").dataset.state = state;
  $("state").textContent = words;
}
