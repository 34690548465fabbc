// The page of a report in its frame: it reports its height and the chosen head, and is told light or dark.
const frame = () => element.querySelector("iframe");
const isDark = () => document.body.classList.contains("dark");
const tellTheme = () => frame()?.contentWindow?.postMessage({ satProbeTheme: isDark() ? "dark" : "light" }, "*");

window.addEventListener("message", (event) => {
  if (!frame() || event.source !== frame().contentWindow || !event.data?.satProbe) return;
  const { ready, height, layer, head } = event.data.satProbe;
  if (ready) tellTheme();
  if (Number.isFinite(height)) frame().style.height = `${Math.min(Math.ceil(height), 20000)}px`;
  if (Number.isInteger(layer) && Number.isInteger(head)) trigger("click", { layer, head });
});
new MutationObserver(tellTheme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
