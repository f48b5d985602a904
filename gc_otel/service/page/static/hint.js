"use strict";
/* The explanation beside a number: a button that opens what it is, when it is bad, and what to do. */
(function (g) {
  const { h } = g;
  let open = null;

  function close(focus) {
    if (!open) return;
    const { button, box } = open;
    open = null;
    button.setAttribute("aria-expanded", "false");
    box.remove();
    if (focus) button.focus();
  }

  function place(button, box) {
    const at = button.getBoundingClientRect();
    const width = Math.min(340, innerWidth - 24);
    box.style.width = `${width}px`;
    box.style.left = `${Math.max(12, Math.min(at.left - 16, innerWidth - width - 12)) + scrollX}px`;
    const below = at.bottom + 8;
    const fits = below + box.offsetHeight < innerHeight || at.top < box.offsetHeight + 16;
    box.style.top = `${(fits ? below : at.top - box.offsetHeight - 8) + scrollY}px`;
  }

  function show(button, word) {
    const again = open && open.button === button;
    close(false);
    if (again) return;
    const box = h(
      "div",
      { class: "hint-box", role: "dialog", "aria-label": word.title },
      h("h3", {}, word.title),
      h("p", {}, word.what),
      h("dl", {}, h("dt", {}, "When is it bad?"), h("dd", {}, word.bad), h("dt", {}, "What to do"), h("dd", {}, word.act)),
      word.runbook && h("p", { class: "hint-more" }, g.link(`/runbook/${word.runbook}`, {}, "Runbook: ", word.runbook)),
    );
    document.body.append(box);
    open = { button, box };
    button.setAttribute("aria-expanded", "true");
    place(button, box);
  }

  document.addEventListener("click", (event) => {
    if (open && !open.box.contains(event.target) && !open.button.contains(event.target)) close(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close(true);
  });

  g.closeHint = () => close(false);

  g.hint = (name) => {
    const word = g.WORDS[name];
    return h(
      "button",
      {
        class: "hint",
        type: "button",
        "aria-expanded": "false",
        "aria-label": `What is “${word.title}”?`,
        onclick: (event) => {
          event.stopPropagation();
          show(event.currentTarget, word);
        },
      },
      "?",
    );
  };
})(globalThis.gcotel);
