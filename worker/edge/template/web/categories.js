// From what the network answers to the categories that are shown, by the model's own rule.

/**
 * @param {Float32Array} answer - the network's, scores or logits.
 * @returns {number[]} scores, 0 to 1.
 */
export function scoresOf(answer, model) {
  if (model.activation === "softmax") {
    const most = answer.reduce((a, b) => Math.max(a, b), -Infinity);
    const powers = Array.from(answer, (logit) => Math.exp(logit - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }
  if (model.activation === "sigmoid") {
    return Array.from(answer, (logit) => 1 / (1 + Math.exp(-logit)));
  }
  return Array.from(answer, (score) => Math.min(Math.max(score, 0), 1));
}

/**
 * @param {number[]} scores - by class id.
 * @returns {{id: number, name: string, score: number}[]} best first; there may be none.
 */
export function categoriesOf(scores, model) {
  const { rule } = model;
  const category = (id, score = scores[id]) => ({ id, name: model.labels[id] ?? `${id}`, score });
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
  if (rule.kind === "best_above") {
    const threshold = Math.fround(rule.threshold);
    if (scores.length === 2) {
      return [scores[1] >= threshold ? category(1) : category(0, 1 - scores[1])];
    }
    return [category(scores[order[0]] > threshold ? order[0] : rule.otherwise)];
  }
  const kept =
    rule.kind === "all_above"
      ? order.filter((id) => scores[id] >= Math.fround(rule.thresholds[id]))
      : order;
  return kept.slice(0, model.top_k).map((id) => category(id));
}
