// One head over one utterance: spectrogram, map with phones along both axes, and a playhead on both.
const phoneAt = (seconds) => {
  const found = report.example.phones.find(([start, end]) => seconds >= start && seconds < end);
  return found ? found[2] : null;
};
let mapTexts = null;

function textsOfMap() {
  const names = report.example.times.map((time) => {
    const phone = phoneAt(time);
    return `${time.toFixed(3)} s${phone === null ? "" : ` <b>${plainText(phone)}</b>`}`;
  });
  return names.map((query) => names.map((key) => `query ${query}<br>key ${key}`));
}

function drawMap(head) {
  const { times, phones, spectrogram: grid, averaged } = report.example;
  byName("map-note").textContent = `of “${report.example.id}”`
    + (averaged > 1 ? `, ${averaged} × ${averaged} frames averaged to keep this page small` : "");
  mapTexts = mapTexts || textsOfMap();
  const weights = attentionOf(head);
  const sorted = Float64Array.from(weights.flat()).sort();
  const hop = times.length > 1 ? times[1] - times[0] : 0.02;
  const range = [times[0] - hop / 2, times[times.length - 1] + hop / 2];
  const columnsOfSound = grid.seconds.length;
  const sound = grid.kilohertz.map((_, row) => Array.from(spectrogram.subarray(row * columnsOfSound, (row + 1) * columnsOfSound)));
  const edges = [...new Set(phones.flatMap(([start, end]) => [start, end]))];
  const predicted = report.example.boundaries?.[`${head.layer}.${head.head}`] || [];
  const mark = (moment, y0, y1, color) => ({ type: "line", xref: "x3", yref: "y3 domain", x0: moment, x1: moment, y0, y1, line: { width: 1.2, color } });
  const line = { width: 0.5, color: "rgba(255,255,255,0.35)" };
  const colours = themeColours();
  const width = byName("map").clientWidth;
  const height = width * 1.18 + 70;
  const labels = {
    tickvals: phones.map(([start, end]) => (start + end) / 2), ticktext: phones.map(([start, end, label]) => ((end - start) / (range[1] - range[0]) * width > 7 ? plainText(label) : "")),
    tickfont: { size: 9, color: colours.ink }, range, showgrid: false, zeroline: false, ticks: "",
  };
  Plotly.react("map", [
    { type: "heatmap", z: weights, x: times, y: times, text: mapTexts, colorscale: "Viridis", zmin: 0,
      zmax: sorted[Math.floor(sorted.length * 0.998)] || sorted[sorted.length - 1], hoverongaps: false,
      hovertemplate: "%{text}<br>weight %{z:.4f}<extra></extra>",
      colorbar: { orientation: "h", y: -48 / (height - 106), yanchor: "top", thickness: 10, len: 0.7, title: { text: "weight", side: "bottom" } } },
    { type: "heatmap", z: sound, x: grid.seconds, y: grid.kilohertz, xaxis: "x3", yaxis: "y3", colorscale: "Greys",
      reversescale: !colours.dark, showscale: false, hovertemplate: "%{x:.3f} s, %{y:.1f} kHz<extra></extra>" },
    { type: "scatter", x: [range[0]], y: [range[0]], xaxis: "x2", yaxis: "y2", mode: "markers", marker: { opacity: 0 }, hoverinfo: "skip" },
  ], {
    ...themeLayout(), height, margin: { l: 52, r: 30, t: 6, b: 100 }, showlegend: false, dragmode: "zoom",
    xaxis: { title: { text: "key time (s)" }, range, domain: [0, 1], anchor: "y", showgrid: false, zeroline: false, color: colours.ink },
    yaxis: { title: { text: "query time (s)" }, range: [...range].reverse(), domain: [0, 0.79], showgrid: false, zeroline: false, color: colours.ink },
    xaxis2: { ...labels, overlaying: "x", side: "top", anchor: "y", matches: "x", tickangle: -90 },
    yaxis2: { ...labels, range: [...range].reverse(), overlaying: "y", side: "right", anchor: "x", matches: "y" },
    xaxis3: { matches: "x", anchor: "y3", showticklabels: false, showgrid: false, zeroline: false, range },
    yaxis3: { domain: [0.88, 1], anchor: "x3", title: { text: "kHz" }, showgrid: false, zeroline: false, color: colours.ink },
    shapes: predicted.map((moment) => mark(moment, 0, 0.5, "#56b4e9")).concat(
      predicted.length ? edges.map((edge) => mark(edge, 0.5, 1, "#d55e00")) : [], edges.flatMap((edge) => [
      { type: "line", xref: "x", yref: "y domain", x0: edge, x1: edge, y0: 0, y1: 1, line },
      { type: "line", xref: "x domain", yref: "y", x0: 0, x1: 1, y0: edge, y1: edge, line },
    ])),
  }, plotlyOptions);
  byName("map").setAttribute("aria-label", `Attention map of ${headName(head)}, a ${head.category} head: query time down, key time to the right`);
  byName("boundaries-note").hidden = !predicted.length;
  movePlayhead();
}

// Two lines over the map: the key that sounds now, and the query that sounds now.
function movePlayhead() {
  const layout = byName("map")._fullLayout;
  const audio = byName("audio");
  const [key, query] = [byName("playhead-key"), byName("playhead-query")];
  const shown = layout && audio.currentTime > 0;
  if (shown) {
    const { xaxis, yaxis, yaxis3 } = layout;
    const x = xaxis.l2p(audio.currentTime), y = yaxis.l2p(audio.currentTime);
    const top = yaxis3._offset, bottom = yaxis._offset + yaxis._length;
    Object.assign(key.style, { left: `${xaxis._offset + x - 1}px`, top: `${top}px`, width: "2px", height: `${bottom - top}px` });
    Object.assign(query.style, { left: `${xaxis._offset}px`, top: `${yaxis._offset + y - 1}px`, width: `${xaxis._length}px`, height: "2px" });
    key.style.display = x >= 0 && x <= xaxis._length ? "block" : "none";
    query.style.display = y >= 0 && y <= yaxis._length ? "block" : "none";
  } else {
    key.style.display = query.style.display = "none";
  }
}

async function startSound() {
  const audio = byName("audio");
  audio.src = URL.createObjectURL(new Blob([await unpack("audio")], { type: "audio/wav" }));
  const follow = () => { movePlayhead(); if (!audio.paused) requestAnimationFrame(follow); };
  audio.onplay = follow;
  audio.onseeked = audio.ontimeupdate = movePlayhead;
}
