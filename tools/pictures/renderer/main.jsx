// Draws a dashboard's classic JSON with Grafana's own components from a Prometheus, and reports what is wrong with it.
// What Grafana keeps in its core and not in its packages has a stand-in here: queries, variables and `timeSeriesTable`.
import React from "react";
import { createRoot } from "react-dom/client";
import * as D from "@grafana/data";
import * as U from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import { lastValueFrom } from "rxjs";

const CELL = 38; // a grid row with its gap
const HEADER = 64;
const asked = new URLSearchParams(location.search);
const now = Number(asked.get("now"));
const width = Number(asked.get("width"));
const variables = JSON.parse(asked.get("variables"));
const theme = D.createTheme({ colors: { mode: asked.get("theme") } });
const problems = [];

// ranges and queries

const UNITS = { m: 60, h: 3600, d: 86400 };
const offset = (text) => {
  const parsed = text.match(/^now(?:([+-]\d+)([mhd]))?$/);
  return parsed[1] ? Number(parsed[1]) * UNITS[parsed[2]] : 0;
};
const seconds = (text) => Number(text.slice(0, -1)) * UNITS[text.slice(-1)];

function rangeOf(dashboard, panel) {
  const [from, to] = panel.timeFrom
    ? [now - seconds(panel.timeFrom), now]
    : [now + offset(dashboard.time.from), now + offset(dashboard.time.to)];
  const least = panel.interval ? seconds(panel.interval) : 60;
  const points = panel.maxDataPoints || 600;
  const step = Math.max(least, Math.ceil((to - from) / points / 60) * 60);
  return { from: Math.floor(from / step) * step, to, step };
}

const grafanaRange = ({ from, to }) => ({
  from: D.dateTime(from * 1000),
  to: D.dateTime(to * 1000),
  raw: { from: "now-1h", to: "now" },
});

function substitute(text, step = 60) {
  const values = { ...variables, __rate_interval: `${Math.max(960, 4 * step)}s`, __interval: `${step}s` };
  return text.replace(/\$(\w+)/g, (whole, name) => values[name] ?? whole);
}

async function ask(path, parameters) {
  const response = await fetch(`${asked.get("prometheus")}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const answer = await response.json();
  if (answer.status !== "success") throw Error(answer.error);
  if (answer.warnings?.length) throw Error(answer.warnings.join("; "));
  return answer.data.result;
}

const legendOf = (format, labels) =>
  format && format !== "__auto"
    ? format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? "")
    : Object.values(labels).join(" ") || "Value";

async function framesOf(target, range, isAlone) {
  const query = substitute(target.expr, range.step);
  if (target.format === "table") {
    const answer = await ask("query", { query, time: range.to });
    const names = [...new Set(answer.flatMap((one) => Object.keys(one.metric)))].filter((name) => name !== "__name__");
    if (!answer.length) return [];
    return [
      D.toDataFrame({
        refId: target.refId,
        fields: [
          { name: "Time", type: "time", values: answer.map((one) => one.value[0] * 1000) },
          ...names.map((name) => ({ name, type: "string", values: answer.map((one) => one.metric[name] ?? "") })),
          { name: isAlone ? "Value" : `Value #${target.refId}`, type: "number", values: answer.map((one) => Number(one.value[1])) },
        ],
      }),
    ];
  }
  const { from, to, step } = range;
  const answer = target.range
    ? await ask("query_range", { query, start: from, end: to, step })
    : await ask("query", { query, time: to });
  return answer.map(({ metric, value, values }) => {
    let points = values ?? [value];
    if (values) {
      const known = new Map(values);
      points = [];
      for (let at = from; at <= to; at += step) points.push([at, known.get(at) ?? null]);
    }
    return D.toDataFrame({
      refId: target.refId,
      fields: [
        { name: "Time", type: "time", values: points.map(([at]) => at * 1000), config: { interval: step * 1000 } },
        {
          name: "Value",
          type: "number",
          labels: metric,
          config: { displayNameFromDS: legendOf(target.legendFormat, metric) },
          values: points.map(([, number]) => (number === null ? null : Number(number))),
        },
      ],
    });
  });
}

// transformations

function timeSeriesTable(frames) {
  const isSeries = (frame) => frame.fields.length === 2 && frame.fields[1].labels;
  const series = frames.filter(isSeries);
  if (!series.length) return frames;
  const names = Object.keys(series[0].fields[1].labels);
  const table = D.toDataFrame({
    refId: series[0].refId,
    fields: [
      ...names.map((name) => ({ name, type: "string", values: series.map((one) => one.fields[1].labels[name]) })),
      {
        name: `Trend #${series[0].refId}`,
        type: "frame",
        values: series.map((one) => ({ ...one, value: one.fields[1].values.findLast((value) => value !== null) })),
      },
    ],
  });
  return [...frames.filter((frame) => !isSeries(frame)), table];
}

const transformers = Object.fromEntries(Object.values(D.standardTransformers).map((one) => [one.id, one]));
D.standardTransformersRegistry.setInit(() =>
  Object.values(transformers).map((one) => ({
    id: one.id,
    name: one.name,
    transformation: () => Promise.resolve(one),
    imageDark: "",
    imageLight: "",
    editor: null,
  })),
);

async function transform(configs, frames) {
  for (const config of configs) {
    if (config.id === "timeSeriesTable") frames = timeSeriesTable(frames);
    else if (!transformers[config.id]) throw Error(`no transformation ${config.id}`);
    else frames = await lastValueFrom(D.transformDataFrame([config], frames));
  }
  return frames;
}

// field configuration

const PROPERTIES = ["unit", "min", "max", "decimals", "noValue", "thresholds", "mappings", "displayName", "color", "links"];
const CUSTOM = [
  "lineStyle", "lineWidth", "fillOpacity", "fillBelowTo", "drawStyle", "hideFrom", "stacking", "axisPlacement",
  "axisSoftMin", "axisSoftMax", "showPoints", "spanNulls", "width", "minWidth", "align", "cellOptions", "lineInterpolation", "thresholdsStyle",
];
const property = (id, path, isCustom) => ({
  id, path, isCustom, name: id, process: D.identityOverrideProcessor, shouldApply: () => true, settings: {},
});
const registry = new D.FieldConfigOptionsRegistry(() => [
  ...PROPERTIES.map((id) => property(id, id, false)),
  ...CUSTOM.map((id) => property(`custom.${id}`, id, true)),
]);
const DEFAULTS = {
  timeseries: {
    drawStyle: "line", lineInterpolation: "linear", lineWidth: 1, fillOpacity: 0, gradientMode: "none", pointSize: 5,
    showPoints: "auto", axisPlacement: "auto", axisColorMode: "text", axisBorderShow: false, axisCenteredZero: false,
    scaleDistribution: { type: "linear" }, hideFrom: { tooltip: false, viz: false, legend: false }, insertNulls: false,
    spanNulls: false, barAlignment: 0, stacking: { mode: "none", group: "A" }, thresholdsStyle: { mode: "off" },
  },
  table: { align: "auto", cellOptions: { type: "auto" }, inspect: false },
};

function configured(panel, frames) {
  const config = structuredClone(panel.fieldConfig ?? { defaults: {}, overrides: [] });
  config.defaults = {
    color: { mode: panel.type === "timeseries" ? "palette-classic" : "thresholds" },
    thresholds: { mode: "absolute", steps: [{ color: "green", value: null }] },
    ...config.defaults,
    custom: { ...DEFAULTS[panel.type], ...config.defaults.custom },
  };
  const all = [config.defaults.thresholds, ...config.overrides.flatMap((one) => one.properties).filter((one) => one.id === "thresholds").map((one) => one.value)];
  for (const { steps } of all) steps[0].value = -Infinity;
  const data = D.applyFieldOverrides({
    data: frames, fieldConfig: config, replaceVariables: (text) => substitute(text), theme, timeZone: "browser",
    fieldConfigRegistry: registry,
  });
  D.cacheFieldDisplayNames(data);
  return { config, frames: data };
}

async function load(dashboard, panel) {
  const range = rangeOf(dashboard, panel);
  const answers = await Promise.all((panel.targets ?? []).map((target) => framesOf(target, range, panel.targets.length === 1)));
  const frames = await transform(panel.transformations ?? [], answers.flat());
  return { range, ...configured(panel, frames) };
}

async function loadAnnotations(dashboard) {
  const range = rangeOf(dashboard, {});
  const marks = [];
  for (const annotation of dashboard.annotations?.list ?? []) {
    const series = await ask("query_range", { query: substitute(annotation.expr), start: range.from, end: now, step: 60 });
    for (const { values } of series)
      marks.push({ at: values[0][0], ids: annotation.filter?.ids, color: theme.visualization.getColorByName(annotation.iconColor) });
  }
  return marks;
}

// panels

function Graph({ panel, loaded, marks, ...size }) {
  return (
    <U.TimeSeries
      {...size}
      frames={loaded.frames}
      timeRange={grafanaRange(loaded.range)}
      timeZone="browser"
      legend={{ calcs: [], ...panel.options.legend }}
      options={panel.options}
    >
      {(builder) => {
        builder.addHook("draw", (plot) => {
          const { ctx, bbox } = plot;
          for (const { at, color } of marks) {
            const x = plot.valToPos(at * 1000, "x", true);
            if (x < bbox.left || x > bbox.left + bbox.width) continue;
            ctx.save();
            ctx.strokeStyle = ctx.fillStyle = color;
            ctx.setLineDash([4, 4]);
            ctx.beginPath();
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.stroke();
            ctx.beginPath();
            ctx.moveTo(x - 5, bbox.top + bbox.height + 6);
            ctx.lineTo(x + 5, bbox.top + bbox.height + 6);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.fill();
            ctx.restore();
          }
        });
        return null;
      }}
    </U.TimeSeries>
  );
}

function Values({ panel, loaded, width, height }) {
  const { options, type } = panel;
  const isBar = type === "bargauge";
  const values = D.getFieldDisplayValues({
    fieldConfig: loaded.config, reduceOptions: options.reduceOptions, replaceVariables: (text) => text, theme,
    data: loaded.frames, timeZone: "browser",
  });
  const alignmentFactors = D.getDisplayValueAlignmentFactors(values);
  const draw = ({ value, width, height, count }) =>
    isBar ? (
      <U.BarGauge
        value={value.display} field={value.field} width={width} height={height} theme={theme} itemSpacing={8}
        display={value.view?.getFieldDisplayProcessor?.(value.colIndex)} orientation={options.orientation}
        displayMode={options.displayMode} showUnfilled={options.showUnfilled} valueDisplayMode={options.valueMode}
        lcdCellWidth={12} alignmentFactors={alignmentFactors} text={options.text} namePlacement={options.namePlacement}
      />
    ) : (
      <U.BigValue
        value={value.display} count={count} width={width} height={height} theme={theme} colorMode={options.colorMode}
        graphMode={options.graphMode} justifyMode={options.justifyMode} textMode={options.textMode}
        alignmentFactors={alignmentFactors} text={options.text}
      />
    );
  return (
    <U.VizRepeater
      getValues={() => values} renderValue={draw} getAlignmentFactors={D.getDisplayValueAlignmentFactors} width={width}
      height={height} source={loaded.frames} renderCounter={0} orientation={isBar ? options.orientation : "auto"}
      itemSpacing={isBar ? 8 : 3} autoGrid={!isBar} minVizHeight={options.minVizHeight ?? 16} minVizWidth={8}
      maxVizHeight={options.maxVizHeight ?? 300}
    />
  );
}

function Body({ panel, loaded, marks, width, height }) {
  if (loaded.error) throw loaded.error;
  const { frames } = loaded;
  if (panel.type === "text") return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: D.renderMarkdown(panel.options.content) }} />;
  if (!frames.some((frame) => frame.length)) {
    const text = panel.fieldConfig?.defaults?.noValue ?? "No data";
    if (text === "No data") problems.push({ panel: panel.title, problem: "No data" });
    const style = { height, display: "flex", alignItems: "center", justifyContent: "center", textAlign: "center", color: theme.colors.text.secondary, fontSize: panel.type === "stat" ? 20 : 14 };
    return <div style={style}>{text}</div>;
  }
  if (panel.type === "timeseries") return <Graph {...{ panel, loaded, marks, width, height }} />;
  if (panel.type === "stat" || panel.type === "bargauge") return <Values {...{ panel, loaded, width, height }} />;
  if (panel.type === "table")
    return (
      <TableNG
        data={frames[0]} width={width} height={height} timeRange={grafanaRange(loaded.range)} frozenColumns={0}
        initialSortBy={panel.options.sortBy ?? []} cellHeight={panel.options.cellHeight}
        enablePagination={panel.options.footer?.enablePagination} noHeader={!panel.options.showHeader}
        fieldConfig={loaded.config} getActions={() => []}
      />
    );
  throw Error(`no panel of type ${panel.type}`);
}

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) {
    return { error };
  }
  componentDidCatch(error) {
    problems.push({ panel: this.props.title, problem: String(error) });
  }
  render() {
    return this.state.error ? <pre>{String(this.state.error.stack).slice(0, 600)}</pre> : this.props.children;
  }
}

function Panel({ panel, loaded, marks }) {
  const { x, y, w, h } = panel.gridPos;
  const cell = width / 24;
  const place = { position: "absolute", left: x * cell + 4, top: HEADER + y * CELL };
  const title = substitute(panel.title);
  return (
    <div style={place} data-panel={title}>
      <Guard title={title}>
        <U.PanelChrome title={title} description={panel.description} width={w * cell - 8} height={h * CELL - 8}>
          {(inner, height) => (
            <Guard title={title}>
              <Body panel={panel} loaded={loaded} marks={marks.filter((mark) => mark.ids?.includes(panel.id) ?? true)} width={inner} height={height} />
            </Guard>
          )}
        </U.PanelChrome>
      </Guard>
    </div>
  );
}

function Heading({ dashboard }) {
  const chips = dashboard.templating.list.filter((one) => variables[one.name] && one.type === "query");
  const chip = { border: `1px solid ${theme.colors.border.medium}`, borderRadius: 3, padding: "4px 10px", marginLeft: 8, fontSize: 13, color: theme.colors.text.primary, background: theme.colors.background.primary };
  return (
    <div style={{ position: "absolute", left: 8, right: 8, top: 0, height: HEADER, display: "flex", alignItems: "center" }}>
      <div style={{ flex: 1, fontSize: 20, fontWeight: 500, color: theme.colors.text.primary }}>{dashboard.title}</div>
      {chips.map((one) => (
        <div key={one.name} style={chip}>
          <span style={{ color: theme.colors.text.secondary }}>{one.label} </span>
          {variables[one.name] === ".+" ? "All" : variables[one.name]}
        </div>
      ))}
    </div>
  );
}

function App({ dashboard, loaded, marks }) {
  const height = HEADER + Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h)) * CELL + 4;
  return (
    <D.ThemeContext.Provider value={theme}>
      <U.GlobalStyles />
      <div style={{ position: "relative", width, height, background: theme.colors.background.canvas }}>
        <Heading dashboard={dashboard} />
        {dashboard.panels.map((panel) => (
          <Panel key={panel.id} panel={panel} loaded={loaded[panel.id]} marks={marks} />
        ))}
      </div>
    </D.ThemeContext.Provider>
  );
}

// what is looked at when all is drawn

function inspect() {
  for (const place of document.querySelectorAll("[data-panel]")) {
    const report = (problem) => problems.push({ panel: place.dataset.panel, problem });
    const box = place.firstElementChild.getBoundingClientRect();
    const texts = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode.textContent.trim();
      const size = parseFloat(getComputedStyle(texts.currentNode.parentElement).fontSize);
      if (text && size < 9) report(`"${text.slice(0, 30)}" is ${size} px high`);
      if (text === "No data") report("No data");
    }
    const legend = place.querySelector("[data-testid='data-testid viz-layout-legend']");
    if (!legend) continue;
    const entries = [...legend.querySelectorAll("*")].map((one) => one.scrollHeight);
    const needed = Math.max(legend.offsetHeight, ...entries) * legend.offsetWidth;
    if (needed > (box.width * box.height) / 3) report("its legend needs more than a third of the panel");
  }
}

async function main() {
  const dashboard = await (await fetch(asked.get("dashboard"))).json();
  const marks = await loadAnnotations(dashboard);
  const loaded = Object.fromEntries(
    await Promise.all(
      dashboard.panels.map(async (panel) => [panel.id, await load(dashboard, panel).catch((error) => ({ error }))]),
    ),
  );
  createRoot(document.getElementById("root")).render(<App dashboard={dashboard} loaded={loaded} marks={marks} />);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  inspect();
  await fetch("report", { method: "POST", body: JSON.stringify({ panels: dashboard.panels.length, problems }) });
}

const failed = (error) => {
  problems.push({ panel: "", problem: String(error) });
  return fetch("report", { method: "POST", body: JSON.stringify({ panels: 0, problems }) });
};
window.onerror = (message) => void failed(message);
window.onunhandledrejection = (event) => void failed(event.reason);
main().catch(failed);
