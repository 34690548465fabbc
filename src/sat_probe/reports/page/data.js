// Content of the page, unpacked from the page itself.
const report = JSON.parse(document.getElementById("data").textContent);
const byName = (id) => document.getElementById(id);

async function unpack(name) {
  const text = byName(`blob-${name}`).textContent;
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// An element with properties and children; text never becomes markup.
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("aria-") || name === "scope" || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

// Plotly reads a little markup in its texts; labels must not become any.
const plainText = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const known = (value) => value !== null && value !== undefined;
const shownNumber = (value) => (!known(value) ? "–"
  : Number.isInteger(value) ? String(value) : value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3));
const headName = (head) => `layer ${head.layer}, head ${head.head}`;

let maps = null, spectrogram = null;
const relationCodes = new Map();

async function unpackAll() {
  const source = new TextDecoder().decode(await unpack("plotly"));
  document.head.append(element("script", { textContent: source }));
  if (report.example) {
    maps = new Uint8Array(await unpack("maps"));
    spectrogram = new Uint8Array(await unpack("spectrogram"));
  }
  for (const { name } of report.relations) relationCodes.set(name, new Int16Array(await unpack(name)));
}

// (T, T) weights of a head: the square root was stored, 255 is the head's largest weight.
function attentionOf(head) {
  const [, heads, side] = report.example.shape;
  const scale = report.example.scale[head.layer][head.head];
  const first = (head.layer * heads + head.head) * side * side;
  return Array.from({ length: side }, (_, row) => Array.from(
    maps.subarray(first + row * side, first + (row + 1) * side), (code) => (code / 255) ** 2 * scale));
}

// One plane (0 relation, 1 low, 2 high) of a head's relation map; null is undefined.
function relationOf(view, head, plane) {
  const { name, phones, shape: [layers, heads] } = view;
  const count = phones.length;
  const first = ((plane * layers + head.layer) * heads + head.head) * count * count;
  return phones.map((_, row) => Array.from(
    relationCodes.get(name).subarray(first + row * count, first + (row + 1) * count), (code) => (code === -32768 ? null : code / 1000)));
}
