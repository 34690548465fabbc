// Inside another page, this page reports its height and the head it shows, and takes the theme from there.
const outer = window.parent === window ? null : window.parent;

function tell(message) {
  outer?.postMessage({ satProbe: message }, "*");
}

// Browsers delay observers in a frame that is out of sight, so the height is also sent at the start.
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

// In a frame, everything except the chosen head is hidden until the visitor asks for it.
function foldAway(titles) {
  const sections = titles.map((id) => byName(id).closest("section"));
  const more = element("button", { type: "button", id: "more" }, "Show the table, the comparison of all heads, and the provenance");
  more.onclick = () => {
    for (const section of sections) section.hidden = false;
    more.remove();
    drawBetween(selected, choose);
  };
  for (const section of sections) section.hidden = true;
  sections[0].before(more);
}
