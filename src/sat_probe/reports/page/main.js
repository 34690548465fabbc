// Choosing a head, the theme, and the start.
let selected = null;

const metricNames = ["globalness", "verticality", "diagonality", "max_weight", "mean_offset_ms", "spread_ms", "sink_share", "category_stability", "r_value"];

function choose(head, scroll = true) {
  const changed = head !== selected;
  if (selected) {
    selected.button.setAttribute("aria-pressed", "false");
    selected.row.setAttribute("aria-selected", "false");
  }
  selected = head;
  head.button.setAttribute("aria-pressed", "true");
  head.row.setAttribute("aria-selected", "true");
  byName("detail-title").textContent = `Layer ${head.layer}, head ${head.head}: ${head.category}`;
  byName("metrics").replaceChildren(...metricNames.filter((name) => known(head[name])).map((name) => element("div", {},
    element("dt", {}, (report.axisNames[name] || name.replaceAll("_", " "))),
    element("dd", {}, shownNumber(head[name]), known(head[`${name}_low`]) && known(head[`${name}_high`])
      ? element("small", {}, ` ${shownNumber(head[`${name}_low`])} … ${shownNumber(head[`${name}_high`])}`) : "",
      known(head[`${name}_rank`]) ? element("small", {}, `, rank ${head[`${name}_rank`]}`) : ""))));
  byName("operations").replaceChildren(...head.operations.map((name) => element("b", {}, name)));
  if (!head.operations.length && report.relations.length) byName("operations").textContent = "No phone stands out for this head.";
  if (report.example) drawMap(head);
  if (report.relations.length) drawRelation(head);
  if (report.concentration) drawConcentration(head);
  drawBetween(head, choose);
  if (changed && document.documentElement.dataset.ready) tell({ layer: head.layer, head: head.head });
  try { history.replaceState(null, "", `#${head.layer}.${head.head}`); } catch { /* a page inside a frame keeps its address */ }
  if (scroll) byName("detail").scrollIntoView({ block: "start" });
}

function step(by) {
  const index = report.heads.indexOf(selected) + by;
  choose(report.heads[(index + report.heads.length) % report.heads.length], false);
}

function sayWhatIsMissing() {
  const say = (id, ...parts) => byName(id).closest("figure").replaceChildren(element("p", { class: "missing" }, ...parts));
  if (!report.example) {
    say("map", "No example utterance: attention maps are kept when ", element("code", {}, "sat-probe analyze"),
      " finds an utterance of at most 4 s in the corpus.");
  }
  if (!report.relations.length && report.provenance.utterances === "1") {
    say("relation", "Relation maps need a corpus with phone alignments: one recording has too few pairs of phones.");
  } else if (!report.relations.length) {
    say("relation", "No relation maps: the corpus has no phone alignments. Add them with ", element("code", {}, "sat-probe align DATASET"),
      ", or put TextGrid, .phn or CTM files beside the audio, and analyze again.");
  } else {
    byName("relation-hint").textContent = `Grey with a cross: fewer than ${report.minimumUtterances} utterances have both phones.`;
    byName("relation-view").append(...report.relations.map((view, index) => element("option", { value: index }, view.title)));
    byName("relation-view").onchange = () => drawRelation(selected);
  }
  if (!report.concentration) byName("concentration").closest("figure").hidden = true;
  if (report.example && !report.example.phones.length) {
    byName("map-note").after(element("span", {}, " (no phone alignment: the axes show time alone)"));
  }
}

function describe() {
  const { corpus, split, utterances, seconds, architecture } = report.provenance;
  const parts = [`${report.heads.length} heads`, architecture, corpus && `on ${corpus}${split ? ` (${split})` : ""}`,
    utterances && `${utterances} utterances`, seconds && `${(Number(seconds) / 60).toFixed(1)} min of speech`];
  byName("summary").textContent = parts.filter(Boolean).join(" · ");
  byName("provenance").append(...Object.entries(report.provenance).filter(([, value]) => value !== "").map(([name, value]) =>
    element("div", {}, element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, value))));
}

function offerAxes() {
  const names = Object.keys(report.axisNames).filter((name) => report.heads.some((head) => known(head[name])));
  const [x, y] = [byName("axis-x"), byName("axis-y")];
  for (const list of [x, y]) list.append(...names.map((name) => element("option", { value: name }, report.axisNames[name])));
  [x.value, y.value] = ["globalness", "diagonality"];
  x.onchange = y.onchange = () => drawBetween(selected, choose);
}

function switchTheme() {
  const dark = themeColours().dark;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  choose(selected, false);
}

async function start() {
  listenToOuterPage();
  describe();
  drawGrid(choose);
  drawTable(choose);
  sayWhatIsMissing();
  offerAxes();
  await unpackAll();
  if (report.example) await startSound();
  byName("previous").onclick = () => step(-1);
  byName("next").onclick = () => step(1);
  byName("theme").onclick = switchTheme;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => choose(selected, false));
  const [layer, index] = location.hash.slice(1).split(".").map(Number);
  const asked = report.heads.find((head) => head.layer === layer && head.head === index);
  const strongest = [...report.heads].sort((one, other) => other.diagonality - one.diagonality)[0];
  choose(asked || strongest, false);
  byName("map")?.on?.("plotly_relayout", movePlayhead);
  document.documentElement.dataset.ready = "true";
  tellHeight();
}

start();
