/** The brush's tools in the panel. */

const find = (id) => document.getElementById(id);

/** Connect the tools with a painting. `say` tells in words what has become of it. */
export function listen(painting, say) {
  const turn = (on) => {
    painting.setOn(on);
    find("paint").setAttribute("aria-pressed", painting.on);
    find("tools").hidden = !painting.on;
    if (painting.on) painting.view.stage.focus();
  };
  const show = () => {
    find("undo").disabled = find("clear").disabled = !painting.strokes.length;
  };
  const resize = (radius) => {
    const { min, max } = find("radius");
    painting.set({ radius: Math.min(Math.max(radius, Number(min)), Number(max)) });
    find("radius").value = painting.radius;
    find("radius-shown").value = Math.round(2 * painting.radius);
  };

  find("paint").addEventListener("click", () => {
    if (painting.view.width) turn(!painting.on);
    else say("Choose a picture to paint on first.", true);
  });
  for (const input of document.querySelectorAll("[name=tool]")) {
    input.addEventListener("change", () => painting.set({ tool: input.value }));
  }
  find("radius").addEventListener("input", ({ target }) => resize(Number(target.value)));
  find("undo").addEventListener("click", () => painting.undo());
  find("clear").addEventListener("click", () => painting.clear());
  document.addEventListener("keydown", (event) => {
    if (!painting.on || event.target.matches("input[type=text]")) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      painting.undo();
    }
  });
  painting.addEventListener("change", show);
  painting.addEventListener("resize", ({ detail }) => resize(painting.radius * detail));
  painting.addEventListener("end", () => (turn(false), find("paint").focus()));
  resize(painting.radius);
  return { begin: () => (painting.begin(), show(), turn(painting.on)) };
}
