/** What pointers, wheel and keys do to the view: move and magnify it, and move its border. */

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN = 40; // CSS pixels for a key

/** The way that an arrow key points, or undefined for another key. */
export const arrowOf = (event) => ARROWS[event.key];

/** Let the stage be used. `painting` takes pointers and keys first; `borderMoved` is told the border's new place. */
export function listen(view, painting, borderMoved) {
  const { stage, border } = view;
  const pointers = new Map(); // those that are down, by number: where they were last

  const moveBorder = (share) => borderMoved(Math.round(1000 * Math.min(Math.max(share, 0), 1)) / 10);

  stage.addEventListener("pointerdown", (event) => {
    if (!view.width || event.target === border || (event.pointerType === "mouse" && event.button > 1)) return;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) painting.cancel();
    else if (event.button === 0) painting.down(event);
  });
  stage.addEventListener("pointermove", (event) => {
    painting.hover(event);
    const last = pointers.get(event.pointerId);
    if (!last) return;
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) {
      const [other] = [...pointers.values()].filter((each) => each.pointerId !== event.pointerId);
      const distance = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      view.zoomTo((view.scale * distance(event)) / Math.max(distance(last), 1), pointIn(stage, event, other));
      view.pan((event.clientX - last.clientX) / 2, (event.clientY - last.clientY) / 2);
    } else if (!painting.move(event)) {
      view.pan(event.clientX - last.clientX, event.clientY - last.clientY);
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => {
      if (pointers.delete(event.pointerId) && !pointers.size) painting.up();
    });
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoomBy(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY) / 60, 1), pointIn(stage, event, event));
  }, { passive: false });
  stage.addEventListener("keydown", (event) => {
    if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = arrowOf(event);
    if (event.shiftKey && arrow?.[0]) moveBorder(view.share + 0.02 * arrow[0]);
    else if (painting.key(event)) ; // done
    else if (arrow) view.pan(-PAN * arrow[0], -PAN * arrow[1]);
    else if (event.key === "+" || event.key === "=") view.zoomBy(1);
    else if (event.key === "-") view.zoomBy(-1);
    else if (event.key === "0") view.fit();
    else if (event.key === "1") view.zoomTo(1);
    else return;
    event.preventDefault();
  });

  border.addEventListener("pointerdown", (event) => border.setPointerCapture(event.pointerId));
  border.addEventListener("pointermove", (event) => {
    if (!border.hasPointerCapture(event.pointerId)) return;
    const box = stage.getBoundingClientRect();
    moveBorder((event.clientX - box.left) / box.width);
  });
  border.addEventListener("keydown", (event) => {
    const ends = { Home: 0, End: 1 };
    const arrow = arrowOf(event);
    if (arrow) moveBorder(view.share + 0.02 * (arrow[0] - arrow[1]));
    else if (event.key in ends) moveBorder(ends[event.key]);
    else return;
    event.preventDefault();
  });
}

/** The middle between two pointers, in the stage's coordinates. */
function pointIn(stage, one, other) {
  const box = stage.getBoundingClientRect();
  return [(one.clientX + other.clientX) / 2 - box.left, (one.clientY + other.clientY) / 2 - box.top];
}
