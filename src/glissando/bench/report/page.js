"use strict";
document.documentElement.classList.add("js");

// The divide between two pictures.
for (const stage of document.querySelectorAll(".stage")) {
  const range = stage.querySelector("input");
  const move = () => {
    stage.style.setProperty("--cut", range.value + "%");
    range.setAttribute("aria-valuetext", Math.round(range.value) + " % " + stage.dataset.ours);
  };
  range.addEventListener("input", move);
  move();
  const button = stage.parentElement.querySelector("button.original");
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = stage.classList.toggle("show-original");
    button.setAttribute("aria-pressed", String(shown));
  });
}

// Results per picture, of one metric at a time. Without a script all of them are there.
for (const group of document.querySelectorAll(".choose")) {
  const parts = [...group.querySelectorAll(":scope > [data-choice]")];
  if (parts.length < 2) continue;
  const label = document.createElement("label");
  label.textContent = group.dataset.label + " ";
  const select = label.appendChild(document.createElement("select"));
  for (const part of parts) select.add(new Option(part.dataset.choice));
  const choose = () => parts.forEach((part, k) => { part.hidden = k !== select.selectedIndex; });
  select.addEventListener("change", choose);
  group.prepend(label);
  choose();
}
