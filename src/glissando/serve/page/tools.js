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
  const end = () => {
    turn(false);
    find("paint").focus();
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
    if (!painting.on || event.defaultPrevented || event.target.matches("input[type=text]")) return;
    if (event.key === "Escape") end();
    else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      painting.undo();
    }
  });
  painting.addEventListener("change", show);
  painting.addEventListener("resize", ({ detail }) => resize(painting.radius * detail));
  resize(painting.radius);

  /** A new picture: the brush fits it. */
  const begin = () => {
    const longest = Math.max(painting.view.width, painting.view.height);
    find("radius").max = Math.max(60, Math.round(longest / 4));
    resize(longest / 16);
    painting.begin();
    show();
  };
  return { begin };
}
