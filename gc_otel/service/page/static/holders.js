"use strict";
/* Who holds the objects of a type: merged ways as a tree to read, and the same as a graph. */
(function (g) {
  const { h } = g;

  function line(step, depth) {
    return h(
      "div",
      { class: `step ${step.is_accumulation_point ? "hot" : ""}` },
      h("span", { class: "step-edge mono" }, step.edge),
      depth && step.type ? h("span", { class: "step-type mono" }, step.type) : null,
      step.objects > 1 ? h("span", { class: "step-count" }, `×${g.count(step.objects)}`) : null,
      g.known(step.length) ? h("span", { class: "step-count" }, `len ${g.count(step.length)}`) : null,
      step.is_accumulation_point ? h("span", { class: "chip bad" }, "accumulation point") : null,
    );
  }

  function tree(step, depth) {
    return h("li", { class: step.is_accumulation_point ? "hot" : null }, line(step, depth), step.children.length ? h("ul", {}, step.children.map((child) => tree(child, depth + 1))) : null);
  }

  /* The accumulation points, to say it in a sentence. */
  function hot(steps, path, found) {
    for (const step of steps) {
      const way = [...path, step];
      if (step.is_accumulation_point) found.push(way);
      hot(step.children, way, found);
    }
    return found;
  }

  function sentence(answer) {
    const [way] = hot(answer.roots, [], []).sort((a, b) => b.at(-1).instances - a.at(-1).instances);
    if (!answer.instances) return "None of these is alive: what the census counted has gone.";
    if (!way) return `${g.plural(answer.reached, "object")} of ${g.count(answer.instances)} can be reached from something with a name; no single object holds many of them.`;
    const step = way.at(-1);
    const name = way.map((each) => each.edge).join(" ").replace(/ \./g, ".");
    return [h("b", {}, `${g.count(step.instances)} of ${g.count(answer.instances)}`), " are held by ", h("code", {}, name), ` (${step.type}${g.known(step.length) ? `, length ${g.count(step.length)}` : ""}).`];
  }

  class Holders {
    constructor(answer) {
      this.graph = answer.roots.length ? new g.Graph(answer, `holders-${answer.type.replace(/[^\w.-]+/g, "_")}`) : null;
      this.node = h(
        "div",
        { class: "holders" },
        h("p", { class: "holders-lead" }, sentence(answer)),
        this.graph?.node,
        answer.roots.length ? h("details", { class: "tree-box", open: !this.graph }, h("summary", {}, "As text"), h("ul", { class: "tree" }, answer.roots.map((root) => tree(root, 0)))) : null,
        h("p", { class: "caption" }, `${g.count(answer.examined_objects)} objects examined in ${g.pause(answer.duration_ns)}; a way was found to ${g.count(answer.reached)} of ${g.count(answer.instances)}.${answer.roots_left_out ? ` ${g.plural(answer.roots_left_out, "smaller way")} left out.` : ""}`),
      );
    }

    destroy() {
      this.graph?.destroy();
    }
  }

  g.Holders = Holders;
})(globalThis.gcotel);
