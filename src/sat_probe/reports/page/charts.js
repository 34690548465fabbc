// Relation map, concentration, and the figures between heads.
const plotlyOptions = { responsive: true, displaylogo: false, displayModeBar: false };

function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const dark = parseInt(of("--paper").slice(1, 3), 16) < 128;
  return { dark, ink: of("--ink"), line: of("--line"), unreliable: of("--unreliable"), focus: of("--focus"), paper: of("--paper") };
}

function themeLayout() {
  const { ink, paper, line } = themeColours();
  return {
    font: { family: "system-ui, sans-serif", size: 12, color: ink }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 52, r: 14, t: 14, b: 44 }, hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink, size: 13 } },
  };
}

const axisLook = () => ({ color: themeColours().ink, gridcolor: themeColours().line, zerolinecolor: themeColours().ink });

function drawRelation(head) {
  const view = report.relations[Number(byName("relation-view").value)];
  const { phones, planes, utterances } = view;
  const minimum = report.minimumUtterances;
  const [values, low, high] = [0, 1, 2].map((plane) => (plane < planes ? relationOf(view, head, plane) : null));
  const reliable = (row, column) => values[row][column] !== null && (!utterances || utterances[row][column] >= minimum);
  const shown = values.map((line, row) => line.map((value, column) => (reliable(row, column) ? value : null)));
  const sorted = shown.flat().filter(known).sort((a, b) => a - b);
  const top = Math.max(1, sorted[Math.floor(sorted.length * 0.99)] || 1);
  const middle = 1 / (1 + top);
  const names = phones.map(plainText);
  const text = values.map((line, row) => line.map((value, column) => {
    const interval = low && known(low[row][column]) ? ` (95 %: ${low[row][column].toFixed(2)} … ${high[row][column].toFixed(2)})` : "";
    const count = utterances ? `<br>${utterances[row][column]} utterances have both` : "";
    return `query <b>${names[row]}</b> → key <b>${names[column]}</b><br>`
      + (value === null ? "never seen together" : `relation ${value.toFixed(2)}${interval}`) + count;
  }));
  const weak = values.flatMap((line, row) => line.map((_, column) => [row, column])).filter(([row, column]) => !reliable(row, column));
  const colours = themeColours();
  const height = byName("relation").clientWidth * 0.98 + 70;
  const look = { ...axisLook(), type: "category", tickfont: { size: phones.length > 20 ? 9 : 12 }, showgrid: false, zeroline: false, dtick: 1, automargin: true };
  const span = [-0.5, phones.length - 0.5];
  Plotly.react("relation", [
    { type: "heatmap", z: shown, x: names, y: names, text, hovertemplate: "%{text}<extra></extra>", hoverongaps: true,
      zmin: -1, zmax: top, xgap: 0.5, ygap: 0.5,
      colorscale: [[0, "#2166ac"], [middle / 2, "#92c5de"], [middle, "#f7f7f7"], [(1 + middle) / 2, "#d6604d"], [1, "#67001f"]],
      colorbar: { orientation: "h", y: -62 / (height - 130), yanchor: "top", thickness: 10, len: 0.7, title: { text: "−1 none · 0 as uniform · +1 twice", side: "bottom" } } },
    { type: "scatter", mode: "markers", x: weak.map(([, column]) => names[column]), y: weak.map(([row]) => names[row]), hoverinfo: "skip",
      marker: { symbol: "x-thin", size: 5, line: { width: 1, color: colours.ink }, opacity: 0.35 } },
  ], {
    ...themeLayout(), height, margin: { l: 46, r: 10, t: 10, b: 120 }, showlegend: false,
    plot_bgcolor: colours.unreliable,
    xaxis: { ...look, title: { text: "key phone" }, tickangle: -90, range: span },
    yaxis: { ...look, title: { text: "query phone" }, range: [...span].reverse() },
  }, plotlyOptions);
  byName("relation").setAttribute("aria-label", `Relation map of ${headName(head)}. ${head.operations.join(", ") || "No operation stands out"}.`);
}

function drawConcentration(head) {
  const rows = report.concentration.filter(([layer, index]) => layer === head.layer && index === head.head);
  const values = rows.map((row) => row[3]);
  const bars = (column, sign) => rows.map((row) => (known(row[column]) && known(row[3]) ? Math.max(0, sign * (row[column] - row[3])) : 0));
  Plotly.react("concentration", [{
    type: "bar", x: rows.map((row) => plainText(row[2])), y: values, marker: { color: values.map((value) => (value > 0 ? "#b2182b" : "#2166ac")) },
    error_y: { type: "data", array: bars(5, 1), arrayminus: bars(4, -1), thickness: 1, width: 2, color: themeColours().ink },
    hovertemplate: "<b>%{x}</b> %{y:.2f}<extra></extra>",
  }], { ...themeLayout(), height: 240, xaxis: { ...axisLook(), tickangle: -90, tickfont: { size: 10 }, dtick: 1, type: "category" },
    yaxis: { ...axisLook(), title: { text: "concentration" } } }, plotlyOptions);
  byName("concentration").setAttribute("aria-label", `Concentration of ${headName(head)} on each key phone`);
}

const symbols = { global: "circle", vertical: "square", diagonal: "diamond" };

// One point per head; a click opens it.
function drawPoints(id, x, y, xTitle, yTitle, label, selected, choose) {
  const traces = report.categories.map((name) => {
    const part = report.heads.filter((head) => head.category === name && known(x(head)) && known(y(head)));
    return { type: "scatter", mode: "markers", name, x: part.map(x), y: part.map(y), customdata: part.map((head) => report.heads.indexOf(head)),
      text: part.map((head) => `${headName(head)}${label(head)}`), hovertemplate: "%{text}<br>%{x:.3f}, %{y:.3f}<extra></extra>",
      marker: { color: report.colours[name], symbol: symbols[name], size: part.map((head) => (head === selected ? 14 : 8)),
        line: { color: themeColours().ink, width: part.map((head) => (head === selected ? 3 : 0.5)) } } };
  });
  Plotly.react(id, traces, { ...themeLayout(), height: 400, legend: { orientation: "h", y: 1.1 },
    xaxis: { ...axisLook(), title: { text: xTitle } }, yaxis: { ...axisLook(), title: { text: yTitle } } }, plotlyOptions);
  const drawn = byName(id);
  drawn.removeAllListeners("plotly_click");
  drawn.on("plotly_click", (event) => choose(report.heads[event.points[0].customdata]));
}

function drawBetween(selected, choose) {
  const [x, y] = [byName("axis-x").value, byName("axis-y").value];
  const title = (name) => report.axisNames[name] || name;
  drawPoints("scatter", (head) => head[x], (head) => head[y], title(x), title(y), () => "", selected, choose);
  if (!report.concentration) { byName("focus").parentElement.hidden = true; return; }
  const extreme = new Map();
  for (const [layer, index, phone, value, low, high] of report.concentration) {
    const sure = known(low) && known(high) ? (low > 0 || high < 0) : false;
    const rank = known(value) ? (sure ? 1e6 : 0) + Math.abs(value) : -1;
    const name = `${layer},${index}`;
    if (!extreme.has(name) || rank > extreme.get(name).rank) extreme.set(name, { rank, phone, value });
  }
  const of = (head) => extreme.get(`${head.layer},${head.head}`);
  drawPoints("focus", (head) => head.verticality, (head) => of(head)?.value, "verticality (nats)", "strongest focus (+) or neglect (−)",
    (head) => `: ${plainText(of(head).phone)}`, selected, choose);
}
