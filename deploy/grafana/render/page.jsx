// Draws a dashboard's JSON with Grafana's own components from what Prometheus has answered (data.json).
// It stands in for Grafana's server: layout, fields and options are what the JSON says.
//
// require() and not import: the ESM build of @grafana/ui imports CommonJS packages as Node.js does, which
// cannot all be bundled.
require("@fontsource/inter/latin-400.css");
require("@fontsource/inter/latin-500.css");
const { FieldType, ThemeContext, createDataFrame, createTheme, dateTime, getDisplayProcessor, EventBusSrv } =
  require("@grafana/data");
const { BarGauge, BigValue, GlobalStyles, PanelChrome, PanelContextProvider, Table, TimeSeries } =
  require("@grafana/ui");
const { createRoot } = require("react-dom/client");
const { HeatMap } = require("./heatmap.jsx");

const WIDTH = 1600; // of the grid; the picture is 32 wider
const COLUMN = WIDTH / 24;
const LINE = 38; // a grid unit is 30 pixels and a gap of 8, as in Grafana
const GAP = 8;
const theme = createTheme({ colors: { mode: "dark" } });

const CUSTOM = {
  drawStyle: "line",
  lineInterpolation: "linear",
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: "none",
  showPoints: "never",
  pointSize: 5,
  axisPlacement: "auto",
  axisLabel: "",
  scaleDistribution: { type: "linear" },
  hideFrom: { legend: false, tooltip: false, viz: false },
  stacking: { mode: "none", group: "A" },
  thresholdsStyle: { mode: "off" },
};

function legendOf(target, labels) {
  if (!target.legendFormat) return Object.values(labels).join(" ") || target.refId;
  return target.legendFormat.replace(/{{\s*(\w+)\s*}}/g, (_, name) => labels[name] ?? "");
}

// A field's options are the panel's defaults and, over them, its overrides by name.
function configOf(panel, name) {
  const config = structuredClone(panel.fieldConfig?.defaults ?? {});
  config.custom = { ...CUSTOM, ...config.custom };
  config.displayNameFromDS = name;
  for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
    if (matcher.options !== name) continue;
    for (const { id, value } of properties) {
      if (id.startsWith("custom.")) config.custom[id.slice("custom.".length)] = value;
      else config[id] = value;
    }
  }
  return config;
}

function withDisplay(field, index) {
  const finite = field.values.filter((value) => Number.isFinite(value));
  const min = field.config.min ?? Math.min(0, ...finite);
  const max = field.config.max ?? Math.max(0, ...finite);
  const range = { min, max, delta: max - min };
  field.state = { seriesIndex: index, displayName: field.config.displayNameFromDS, range };
  field.display = getDisplayProcessor({ field, theme });
  return field;
}

function number(text) {
  return text === "NaN" ? null : text === "+Inf" ? Infinity : Number(text);
}

// One frame for each series of a graph, with a gap where there is no sample.
function seriesFrames(panel, data) {
  const { start, end, step } = data;
  const times = [];
  for (let time = start; time <= end; time += step) times.push(time * 1000);
  let index = 0;
  return panel.targets.flatMap((target) =>
    (data.answers[panel.id]?.[target.refId] ?? []).map((series) => {
      const name = legendOf(target, series.metric);
      const byTime = new Map(series.values.map(([time, value]) => [Math.round(time * 1000), number(value)]));
      const values = times.map((time) => {
        const value = byTime.get(Math.round(time));
        return value === undefined || !Number.isFinite(value) ? null : value;
      });
      const frame = createDataFrame({
        refId: target.refId,
        fields: [
          { name: "Time", type: FieldType.time, values: times, config: { custom: { ...CUSTOM } } },
          { name, type: FieldType.number, values, config: configOf(panel, name) },
        ],
      });
      withDisplay(frame.fields[0], 0);
      withDisplay(frame.fields[1], index++);
      return frame;
    }),
  );
}

function Graph({ panel, data, width, height }) {
  const frames = seriesFrames(panel, data);
  if (!frames.length) return <NoData width={width} height={height} />;
  const timeRange = { from: dateTime(data.start * 1000), to: dateTime(data.end * 1000), raw: { from: "", to: "" } };
  return (
    <TimeSeries
      frames={frames}
      width={width}
      height={height}
      timeRange={timeRange}
      timeZone="utc"
      legend={panel.options.legend}
      options={panel.options}
    />
  );
}

function latest(series) {
  if (series.value) return number(series.value[1]);
  const finite = series.values.map(([, value]) => number(value)).filter((value) => value !== null);
  return finite.at(-1) ?? null;
}

function Stat({ panel, data, width, height }) {
  const [series] = data.answers[panel.id].A;
  const config = configOf(panel, "");
  const field = withDisplay({ name: "Value", type: FieldType.number, values: [], config }, 0);
  if (!series) return <NoData width={width} height={height} />;
  const [frame] = series.values ? seriesFrames(panel, data) : [];
  const sparkline =
    panel.options.graphMode === "area" && frame
      ? { x: frame.fields[0], y: frame.fields[1] }
      : undefined;
  return (
    <BigValue
      value={field.display(latest(series))}
      sparkline={sparkline}
      colorMode={panel.options.colorMode}
      graphMode={panel.options.graphMode}
      textMode={panel.options.textMode}
      justifyMode="auto"
      width={width}
      height={height}
      theme={theme}
    />
  );
}

function Bars({ panel, data, width, height }) {
  const all = (data.answers[panel.id].A ?? [])
    .map((series) => ({ name: legendOf(panel.targets[0], series.metric), value: latest(series) }))
    .filter(({ value }) => value !== null)
    .sort((a, b) => b.value - a.value);
  if (!all.length) return <NoData width={width} height={height} />;
  const most = panel.fieldConfig.defaults.max ?? Math.max(...all.map(({ value }) => value));
  const each = Math.min(60, (height - GAP * (all.length - 1)) / all.length);
  return (
    <div style={{ display: "flex", flexDirection: "column", gap: GAP }}>
      {all.map(({ name, value }) => {
        const config = { ...configOf(panel, name), min: 0, max: most };
        const field = withDisplay({ name, type: FieldType.number, values: [value], config }, 0);
        return (
          <BarGauge
            key={name}
            field={field.config}
            display={field.display}
            value={{ ...field.display(value), title: name }}
            orientation="horizontal"
            displayMode={panel.options.displayMode}
            text={panel.options.text}
            width={width}
            height={each}
            itemSpacing={GAP}
            theme={theme}
          />
        );
      })}
    </div>
  );
}

// Rows with the same labels become one, as by the transformation `merge`; then columns are chosen.
function Rows({ panel, data, width, height }) {
  const columns = panel.transformations.find(({ id }) => id === "organize").options;
  const names = Object.keys(columns.renameByName).sort((a, b) => columns.indexByName[a] - columns.indexByName[b]);
  const rows = [];
  for (const target of panel.targets) {
    const value = panel.targets.length > 1 ? `Value #${target.refId}` : "Value";
    for (const series of data.answers[panel.id][target.refId] ?? []) {
      const own = { ...series.metric, [value]: number(series.value[1]) };
      const same = rows.find((row) => Object.keys(own).every((key) => !(key in row) || row[key] === own[key]));
      if (same) Object.assign(same, own);
      else rows.push(own);
    }
  }
  if (!rows.length) return <NoData width={width} height={height} />;
  const fields = names.map((name, index) => {
    const values = rows.map((row) => row[name] ?? null);
    const type = values.some((value) => typeof value === "number") ? FieldType.number : FieldType.string;
    const title = columns.renameByName[name];
    const field = { name: title, type, values, config: configOf(panel, title) };
    return withDisplay(field, index);
  });
  return <Table data={createDataFrame({ fields })} width={width} height={height} />;
}

function NoData({ width, height }) {
  return <div className="no-data" style={{ width, height }}>No data</div>;
}

const KINDS = { timeseries: Graph, stat: Stat, bargauge: Bars, table: Rows, heatmap: HeatMap };

function Panel({ panel, data }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: "absolute", left: x * COLUMN, top: y * LINE, width: w * COLUMN - GAP, height: h * LINE - GAP };
  if (panel.type === "row") return <div className="row" style={place}>{panel.title}</div>;
  const Kind = KINDS[panel.type];
  return (
    <div style={place}>
      <PanelChrome title={panel.title} width={place.width} height={place.height}>
        {(width, height) => <Kind panel={panel} data={data} width={width} height={height} theme={theme} />}
      </PanelChrome>
    </div>
  );
}

function Dashboard({ dashboard, data }) {
  const height = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * LINE;
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <PanelContextProvider value={{ eventsScope: "picture", eventBus: new EventBusSrv(), sync: () => 0 }}>
        <header>{dashboard.title}</header>
        <main style={{ width: WIDTH - GAP, height }}>
          {dashboard.panels.map((panel) => <Panel key={panel.id} panel={panel} data={data} />)}
        </main>
      </PanelContextProvider>
    </ThemeContext.Provider>
  );
}

document.body.style.background = theme.colors.background.canvas;
fetch("data.json")
  .then((answer) => answer.json())
  .then(({ dashboard, data }) =>
    createRoot(document.getElementById("page")).render(<Dashboard dashboard={dashboard} data={data} />),
  );
