"use strict";
/* Single objects and their references: some instances of a type, and what holds them, or what they hold. */
(function (g) {
  const { h, s } = g;
  const [WIDTH, HEIGHT] = [210, 46];

  class Objects extends g.Canvas {
    constructor(answer) {
      const words = answer.direction === "refs" ? "what they hold" : "what holds them";
      super(`Some objects of ${answer.type} and ${words}`, `${answer.direction}-${answer.type.replace(/[^\w.-]+/g, "_")}`);
      this.asked = new Set(answer.asked);
      this.lay(
        answer.nodes.map(({ number }) => ({ id: String(number), width: WIDTH, height: HEIGHT })),
        answer.edges.filter((edge) => edge.holder !== edge.held).map((edge) => [String(edge.holder), String(edge.held)]),
        (layout) => [answer.edges.map((edge) => this.edge(layout, edge)), answer.nodes.map((node) => this.box(layout.node(String(node.number)), node))],
      );
      this.drawing = this.node;
      this.node = h("div", {}, this.drawing, h("p", { class: "caption" }, `${g.plural(answer.asked.length, "object")} of ${g.count(answer.alive)} alive, and ${words}. An arrow goes from the holder to what it holds.`));
    }

    edge(layout, { holder, held, name }) {
      const [from, to] = [layout.node(String(holder)), layout.node(String(held))];
      return s("g", { class: "edge" }, s("path", { d: g.curve(from, to), fill: "none", "stroke-width": 1.2 }), s("text", { x: to.x - WIDTH / 2 - 6, y: to.y - 6, "text-anchor": "end" }, g.shortened(name, 20)));
    }

    box({ x, y }, node) {
      const words = `${node.name || node.type}, ${g.bytes(node.size_bytes)}`;
      const parts = [node.name ? g.shortened(node.type, 18) : null, g.known(node.length) ? `len ${g.count(node.length)}` : null, g.known(node.references) ? g.plural(node.references, "reference") : null];
      return s(
        "g",
        { class: `node ${this.asked.has(node.number) ? "root" : ""}`, transform: `translate(${x - WIDTH / 2},${y - HEIGHT / 2})` },
        s("title", {}, words),
        s("rect", { width: WIDTH, height: HEIGHT, rx: 8 }),
        s("text", { x: 12, y: 19, class: "node-name" }, g.shortened(node.name || node.type, 26)),
        s("text", { x: 12, y: 36, class: "node-sub" }, parts.filter(Boolean).join(" · ")),
        node.left_out ? s("text", { x: WIDTH - 12, y: 29, "text-anchor": "end", class: "node-more" }, `+${g.count(node.left_out)}`) : null,
      );
    }
  }

  g.Objects = Objects;
})(globalThis.gcotel);
