// Inside another page this one says how tall it is and which head it shows, and takes light or dark from there.
const outer = window.parent === window ? null : window.parent;

function tell(message) {
  outer?.postMessage({ satProbe: message }, "*");
}

function listenToOuterPage() {
  if (!outer) return;
  document.documentElement.classList.add("framed");
  window.addEventListener("message", ({ source, data }) => {
    if (source !== outer || !["light", "dark"].includes(data?.satProbeTheme)) return;
    if (document.documentElement.dataset.theme === data.satProbeTheme) return;
    document.documentElement.dataset.theme = data.satProbeTheme;
    if (selected) choose(selected, false);
  });
  new ResizeObserver(() => tell({ height: document.body.offsetHeight + 8 })).observe(document.body);
  tell({ ready: true });
}
