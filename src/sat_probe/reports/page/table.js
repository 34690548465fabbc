// The grid of all heads, and the table that sorts and filters.
const columns = [
  ["category", "category"], ["globalness", "globalness"], ["verticality", "verticality"], ["diagonality", "diagonality"],
  ["max_weight", "max weight"], ["mean_offset_ms", "offset (ms)"], ["spread_ms", "spread (ms)"], ["sink_share", "sink share"],
  ["r_value", "R-value"], ["operations", "operations"],
].filter(([name]) => report.heads.some((head) => known(head[name])));
const isText = (name) => name === "category" || name === "operations";
const sorting = { name: "layer", descending: false };

function drawGrid(choose) {
  const [layers, count] = report.shape;  // of the intact model
  const grid = byName("grid");
  grid.style.gridTemplateColumns = `auto repeat(${count}, auto)`;
  const cells = new Map(report.heads.map((head) => [`${head.layer},${head.head}`, head]));
  for (let layer = layers - 1; layer >= 0; layer -= 1) {
    grid.append(element("span", { "aria-hidden": "true" }, String(layer)));
    for (let index = 0; index < count; index += 1) {
      const head = cells.get(`${layer},${index}`);
      if (!head) {
        grid.append(element("span", { title: `layer ${layer}, head ${index}: removed` }));
        continue;
      }
      const button = element("button", {
        type: "button", title: `${headName(head)}: ${head.category}`, "aria-pressed": "false",
        "aria-label": `${headName(head)}, ${head.category}`, onclick: () => choose(head),
      }, report.letters[head.category]);
      button.style.background = report.colours[head.category];
      button.style.color = report.ink[head.category];
      head.button = button;
      grid.append(button);
    }
  }
  grid.append(element("span"), ...Array.from({ length: count }, (_, index) => element("span", {}, String(index))));
  for (const name of report.categories) {
    const key = element("span", { class: "key" }, report.letters[name]);
    key.style.background = report.colours[name];
    key.style.color = report.ink[name];
    const total = report.heads.filter((head) => head.category === name).length;
    byName("legend").append(element("span", {}, key, `${name} (${total})`));
  }
  const removed = layers * count - report.heads.length;
  if (removed) byName("legend").append(element("span", {}, `removed (${removed})`));
}

function drawTable(choose) {
  const titles = [["layer", "head"], ...columns];
  byName("table").prepend(element("caption", { hidden: true }, "Metrics of every attention head"));
  byName("table").tHead.append(element("tr", {}, ...titles.map(([name, title]) => element("th", {
    scope: "col", class: [isText(name) ? "text" : "", minor(name)].join(" "), "aria-sort": "none",
  }, element("button", { type: "button", onclick: () => { sortBy(name); fillTable(); } }, title)))));
  for (const head of report.heads) {
    const cells = columns.map(([name]) => element("td", { class: [isText(name) ? "text" : "", minor(name)].join(" ") },
      name === "operations" ? head.operations.slice(0, 3).join(", ") + (head.operations.length > 3 ? " …" : "")
        : isText(name) ? head[name] : shownNumber(head[name])));
    const open = element("button", { type: "button", "aria-label": `Show ${headName(head)}` }, `${head.layer}.${head.head}`);
    head.row = element("tr", { onclick: () => choose(head), "aria-selected": "false" },
      element("th", { scope: "row" }, open), ...cells);
    head.text = [`${head.layer}.${head.head}`, head.category, ...head.operations].join(" ").toLowerCase();
  }
  const layers = [...new Set(report.heads.map((head) => head.layer))];
  byName("layer").append(element("option", { value: "" }, "all"), ...layers.map((layer) => element("option", { value: layer }, layer)));
  byName("kinds").append(...report.categories.map((name) => element("label", {},
    element("input", { type: "checkbox", value: name, checked: true, name: "kind" }), ` ${name}`)));
  byName("filters").oninput = fillTable;
  byName("filters").onsubmit = (event) => event.preventDefault();
  fillTable();
}

const minor = (name) => (["max_weight", "spread_ms", "sink_share"].includes(name) ? "minor" : "");

function sortBy(name) {
  sorting.descending = sorting.name === name ? !sorting.descending : name !== "layer" && !isText(name);
  sorting.name = name;
}

function fillTable() {
  const words = byName("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kinds = [...document.querySelectorAll('[name="kind"]:checked')].map((box) => box.value);
  const layer = byName("layer").value;
  const fits = (head) => kinds.includes(head.category) && (layer === "" || head.layer === Number(layer))
    && words.every((word) => head.text.includes(word));
  const value = (head) => (sorting.name === "layer" ? head.layer * 10000 + head.head
    : sorting.name === "operations" ? head.operations.join(" ") || null : head[sorting.name]);
  const direction = sorting.descending ? -1 : 1;
  const found = report.heads.filter(fits).sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (!known(a) || !known(b)) return Number(known(b)) - Number(known(a));  // what is unknown stands last
    return direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
  byName("table").tBodies[0].replaceChildren(...found.map((head) => head.row));
  for (const head of report.heads) head.button.classList.toggle("dimmed", !fits(head));
  [...byName("table").tHead.rows[0].cells].forEach((cell, index) => {
    const name = index ? columns[index - 1][0] : "layer";
    cell.setAttribute("aria-sort", name !== sorting.name ? "none" : sorting.descending ? "descending" : "ascending");
  });
  byName("count").textContent = `${found.length} of ${report.heads.length} heads`;
}
