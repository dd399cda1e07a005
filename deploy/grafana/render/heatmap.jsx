// Grafana's heat map is no part of @grafana/ui. This one draws what it would: a cell for each time and
// bucket, the darker the more.
const { getValueFormat } = require("@grafana/data");
const { useEffect, useRef } = require("react");

const AXIS = 62;
const BOTTOM = 22;

function HeatMap({ panel, data, width, height, theme }) {
  const canvas = useRef(null);
  const series = (data.answers[panel.id].A ?? [])
    .map(({ metric, values }) => ({ bound: metric.le === "+Inf" ? Infinity : Number(metric.le), values: new Map(values) }))
    .sort((a, b) => a.bound - b.bound);
  useEffect(() => {
    if (series.length) draw(canvas.current.getContext("2d"), series, { panel, data, width, height, theme });
  });
  return <canvas ref={canvas} width={width * 2} height={height * 2} style={{ width, height }} />;
}

function draw(context, series, { panel, data, width, height, theme }) {
  context.setTransform(2, 0, 0, 2, 0, 0);
  context.clearRect(0, 0, width, height);
  const times = [];
  for (let time = data.start; time <= data.end; time += data.step) times.push(time);
  // Buckets are cumulative; a cell is what is in one bucket and not in the one below.
  const cells = series.map(({ values }, row) =>
    times.map((time) => {
      const below = row ? Number(series[row - 1].values.get(time) ?? 0) : 0;
      return Math.max(0, Number(values.get(time) ?? 0) - below);
    }),
  );
  const filled = cells.map((row, index) => (row.some((count) => count > 0) ? index : -1)).filter((index) => index >= 0);
  const first = filled[0] ?? 0;
  const last = filled.at(-1) ?? 0;
  const rows = last - first + 1;
  const most = Math.max(1e-9, ...cells.flat());
  const across = (width - AXIS) / times.length;
  const up = (height - BOTTOM) / rows;
  const unit = getValueFormat(panel.options.yAxis.unit);
  context.font = `12px ${theme.typography.fontFamily}`;
  for (let row = first; row <= last; row++) {
    const top = (last - row) * up;
    for (const [column, count] of cells[row].entries()) {
      if (count <= 0) continue;
      context.fillStyle = theme.visualization.getColorByName("orange");
      context.globalAlpha = 0.12 + 0.88 * Math.sqrt(count / most);
      context.fillRect(AXIS + column * across, top + 0.5, Math.max(1, across - 1), up - 1);
    }
    context.globalAlpha = 1;
    context.fillStyle = theme.colors.text.secondary;
    if (rows <= 12 || (row - first) % 2 === 0) {
      const { bound } = series[row];
      const said = Number.isFinite(bound) ? unit(bound) : { text: "+Inf", suffix: "" };
      context.fillText(`${said.text}${said.suffix ?? ""}`, 2, top + up / 2 + 4);
    }
  }
  for (let mark = 0; mark < 4; mark++) {
    const time = data.start + ((data.end - data.start) * (mark + 0.5)) / 4;
    context.fillText(new Date(time * 1000).toISOString().slice(11, 19), AXIS + ((width - AXIS) * (mark + 0.5)) / 4 - 24, height - 6);
  }
}

module.exports = { HeatMap };
