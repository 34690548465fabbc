// Inside another page this one says how tall it is and which head it shows, and takes light or dark from there.
const outer = window.parent === window ? null : window.parent;

function tell(message) {
  outer?.postMessage({ satProbe: message }, "*");
}

// Browsers put observers of a frame off that is out of sight, so this is said at the start too.
function tellHeight() {
  tell({ height: document.body.offsetHeight + 8 });
}

function listenToOuterPage() {
  if (!outer) return;
  document.documentElement.classList.add("framed");
  foldAway(["table-title", "overview-title", "origin-title"]);
  window.addEventListener("message", ({ source, data }) => {
    if (source !== outer || !["light", "dark"].includes(data?.satProbeTheme)) return;
    if (document.documentElement.dataset.theme === data.satProbeTheme) return;
    document.documentElement.dataset.theme = data.satProbeTheme;
    if (selected) choose(selected, false);
  });
  new ResizeObserver(tellHeight).observe(document.body);
  tell({ ready: true });
}

// In a frame, what goes beyond the chosen head waits until it is asked for.
function foldAway(titles) {
  const sections = titles.map((id) => byName(id).closest("section"));
  const more = element("button", { type: "button", id: "more" }, "Show the table, all heads between two metrics, and where this comes from");
  more.onclick = () => {
    for (const section of sections) section.hidden = false;
    more.remove();
    drawBetween(selected, choose);
  };
  for (const section of sections) section.hidden = true;
  sections[0].before(more);
}
