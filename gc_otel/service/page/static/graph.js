"use strict";
/* Who holds it, as a graph of merged ways, whose nodes unfold. */
(function (g) {
  const { s } = g;
  const short = g.shortened;
  const FIRST_DEPTH = 6;
  const CHILDREN_MOST = 8;
  const [NODE_WIDTH, NODE_HEIGHT] = [230, 46];

  class Graph extends g.Canvas {
    constructor(answer, fileName) {
      super(`Graph of what holds ${answer.type}`, fileName);
      this.answer = answer;
      this.open = new Set();
      this.steps = new Map();
      answer.roots.forEach((root, at) => this.index(root, `${at}`, 1));
      this.draw();
    }

    index(step, id, depth) {
      this.steps.set(id, step);
      if (depth < FIRST_DEPTH) this.open.add(id);
      step.children.forEach((child, at) => this.index(child, `${id}.${at}`, depth + 1));
    }

    visible() {
      const found = [];
      const walk = (id, parent) => {
        const step = this.steps.get(id);
        found.push({ id, parent, step });
        if (!this.open.has(id)) return;
        step.children.slice(0, CHILDREN_MOST).forEach((_, at) => walk(`${id}.${at}`, id));
      };
      this.answer.roots.forEach((_, at) => walk(`${at}`, null));
      return found;
    }

    draw() {
      const found = this.visible();
      const held = found.filter((each) => each.parent !== null);
      this.lay(
        found.map(({ id }) => ({ id, width: NODE_WIDTH, height: NODE_HEIGHT })),
        held.map(({ id, parent }) => [parent, id]),
        (layout) => [held.map((each) => this.edge(layout, each)), found.map((each) => this.box(layout.node(each.id), each))],
      );
    }

    edge(layout, { id, parent, step }) {
      const [from, to] = [layout.node(parent), layout.node(id)];
      return s(
        "g",
        { class: "edge" },
        s("path", { d: g.curve(from, to), fill: "none", "stroke-width": Math.min(5, 1 + Math.log10(Math.max(1, step.instances))) }),
        s("text", { x: to.x - NODE_WIDTH / 2 - 6, y: to.y - 6, "text-anchor": "end" }, short(step.edge, 20)),
      );
    }

    box({ x, y }, { id, step, parent }) {
      const folded = step.children.length && (!this.open.has(id) || step.children.length > CHILDREN_MOST);
      const words = `${parent === null ? `${step.edge}, ` : ""}${step.type}, ${g.plural(step.objects, "object")}${step.is_accumulation_point ? ", accumulation point" : ""}`;
      const act = () => this.toggle(id);
      return s(
        "g",
        { class: `node ${step.is_accumulation_point ? "hot" : ""} ${parent === null ? "root" : ""}`, transform: `translate(${x - NODE_WIDTH / 2},${y - NODE_HEIGHT / 2})`, tabindex: step.children.length ? 0 : null, role: step.children.length ? "button" : null, "aria-label": words, onclick: act, onkeydown: (event) => event.key === "Enter" && (event.stopPropagation(), act()) },
        s("title", {}, words),
        s("rect", { width: NODE_WIDTH, height: NODE_HEIGHT, rx: 8 }),
        s("text", { x: 12, y: 19, class: "node-name" }, short(parent === null ? step.edge : step.type, 30)),
        s("text", { x: 12, y: 36, class: "node-sub" }, `${step.objects > 1 ? `×${g.count(step.objects)}` : parent === null ? short(step.type, 22) : "1 object"}${g.known(step.length) ? ` · len ${g.count(step.length)}` : ""}${step.is_accumulation_point ? " · accumulates" : ""}`),
        folded ? s("text", { x: NODE_WIDTH - 12, y: 29, "text-anchor": "end", class: "node-more" }, `+${step.children.length}`) : null,
      );
    }

    toggle(id) {
      if (this.dragged || !this.steps.get(id).children.length) return;
      if (!this.open.delete(id)) this.open.add(id);
      this.draw();
    }
  }

  g.Graph = Graph;
})(globalThis.gcotel);
