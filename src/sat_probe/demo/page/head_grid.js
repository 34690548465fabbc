// Buttons that switch heads off and on again; the server is told which are off. Arrow keys move, space and return switch.
const buttons = () => [...element.querySelectorAll(".sat-grid button")];
const switchedOff = () => buttons().filter((button) => button.getAttribute("aria-pressed") === "true")
  .map((button) => [Number(button.dataset.layer), Number(button.dataset.head)]);

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.head !== undefined) {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  } else if (button.dataset.set) {
    const which = button.dataset.set;
    for (const one of buttons()) {
      const chosen = which === "none" ? false : one.dataset.category === which || one.getAttribute("aria-pressed") === "true";
      one.setAttribute("aria-pressed", String(chosen));
    }
  }
  trigger("click", { off: switchedOff() });
});

// The next head in a direction: in the same layer, or the nearest in the next layer that has heads.
function neighbour(layer, head, [up, right]) {
  const beyond = buttons().map((button) => {
    const [rows, columns] = [Number(button.dataset.layer) - layer, Number(button.dataset.head) - head];
    const [along, across] = up ? [rows * up, Math.abs(columns)] : [columns * right, Math.abs(rows)];
    return { button, along, across };
  }).filter(({ along, across }) => along > 0 && (up || across === 0));
  return beyond.sort((one, other) => one.along - other.along || one.across - other.across)[0]?.button;
}

element.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
  const { layer, head } = event.target.dataset ?? {};
  if (!step || head === undefined) return;
  event.preventDefault();
  neighbour(Number(layer), Number(head), step)?.focus();
});
