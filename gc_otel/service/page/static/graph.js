"use strict";
/* Who holds it, as a graph: laid out by dagre, drawn as SVG, with pan, zoom, and nodes that unfold. */
(function (g) {
  const { h, s } = g;
  const FIRST_DEPTH = 6;
  const CHILDREN_MOST = 8;
  const [NODE_WIDTH, NODE_HEIGHT] = [230, 46];

  function short(text, most) {
    return text.length <= most ? text : `${text.slice(0, most / 2 - 1)}…${text.slice(-(most / 2))}`;
  }

  class Graph {
    constructor(answer, fileName) {
      this.answer = answer;
      this.fileName = fileName;
      this.open = new Set();
      this.steps = new Map();
      answer.roots.forEach((root, at) => this.index(root, `${at}`, 1));
      this.canvas = h("div", { class: "graph-canvas", tabindex: 0, role: "group", "aria-label": `Graph of what holds ${answer.type}. Arrow keys move it, plus and minus zoom.`, onkeydown: (event) => this.key(event), onwheel: (event) => this.wheel(event), onpointerdown: (event) => this.grab(event) });
      const button = (title, act, label) => h("button", { class: "quiet", type: "button", "aria-label": label, onclick: act }, title);
      this.node = h(
        "div",
        { class: "graph" },
        h("div", { class: "graph-bar" }, button("+", () => this.zoomBy(1.25), "Zoom in"), button("−", () => this.zoomBy(0.8), "Zoom out"), button("Fit", () => this.fit(), "Show all of it"), button("Save SVG", () => this.save())),
        this.canvas,
      );
      this.observer = new ResizeObserver(() => this.width !== this.canvas.clientWidth && this.fit());
      this.observer.observe(this.canvas);
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
      const layout = new globalThis.dagre.graphlib.Graph({ directed: true }).setGraph({ rankdir: "LR", nodesep: 14, ranksep: 84, marginx: 16, marginy: 16 }).setDefaultEdgeLabel(() => ({}));
      for (const { id, parent } of found) {
        layout.setNode(id, { width: NODE_WIDTH, height: NODE_HEIGHT });
        if (parent !== null) layout.setEdge(parent, id);
      }
      globalThis.dagre.layout(layout);
      const { width, height } = layout.graph();
      this.size = [Math.max(1, width), Math.max(1, height)];
      const lines = found.filter((each) => each.parent !== null).map((each) => this.edge(layout, each));
      this.view = s("g", {}, lines, found.map((each) => this.box(layout.node(each.id), each)));
      this.svg = s("svg", { xmlns: "http://www.w3.org/2000/svg", role: "presentation" }, this.view);
      g.fill(this.canvas, this.svg);
      this.fit();
    }

    edge(layout, { id, parent, step }) {
      const [from, to] = [layout.node(parent), layout.node(id)];
      const [x1, x2] = [from.x + NODE_WIDTH / 2, to.x - NODE_WIDTH / 2];
      const middle = (x1 + x2) / 2;
      return s(
        "g",
        { class: "edge" },
        s("path", { d: `M${x1},${from.y} C${middle},${from.y} ${middle},${to.y} ${x2},${to.y}`, fill: "none", "stroke-width": Math.min(5, 1 + Math.log10(Math.max(1, step.instances))) }),
        s("text", { x: x2 - 6, y: to.y - 6, "text-anchor": "end" }, short(step.edge, 20)),
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

    fit() {
      this.width = this.canvas.clientWidth;
      if (!this.width) return;
      const tall = Math.max(160, Math.min(560, (this.size[1] * this.width) / this.size[0], this.size[1] + 8));
      this.canvas.style.height = `${tall}px`;
      this.scale = Math.min(1.15, this.width / this.size[0], tall / this.size[1]);
      this.x = (this.width - this.size[0] * this.scale) / 2;
      this.y = (tall - this.size[1] * this.scale) / 2;
      this.place();
    }

    place() {
      this.svg.setAttribute("width", this.width);
      this.svg.setAttribute("height", this.canvas.clientHeight);
      this.view.setAttribute("transform", `translate(${this.x.toFixed(1)},${this.y.toFixed(1)}) scale(${this.scale.toFixed(4)})`);
    }

    zoomBy(factor, x = this.width / 2, y = this.canvas.clientHeight / 2) {
      const scale = Math.max(0.1, Math.min(4, this.scale * factor));
      this.x = x - ((x - this.x) * scale) / this.scale;
      this.y = y - ((y - this.y) * scale) / this.scale;
      this.scale = scale;
      this.place();
    }

    wheel(event) {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls; with Ctrl, as by a pinch, the graph zooms
      event.preventDefault();
      const at = this.canvas.getBoundingClientRect();
      this.zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1, event.clientX - at.left, event.clientY - at.top);
    }

    grab(event) {
      if (event.button !== 0) return;
      let [x, y] = [event.clientX, event.clientY];
      this.dragged = false;
      const move = (next) => {
        if (Math.abs(next.clientX - event.clientX) + Math.abs(next.clientY - event.clientY) > 4) this.dragged = true;
        this.x += next.clientX - x;
        this.y += next.clientY - y;
        [x, y] = [next.clientX, next.clientY];
        this.place();
      };
      const end = () => {
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", end);
        setTimeout(() => (this.dragged = false), 0);
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", end);
    }

    key(event) {
      const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
      if (event.key === "+" || event.key === "=") this.zoomBy(1.25);
      else if (event.key === "-") this.zoomBy(0.8);
      else if (step) {
        this.x += step[0];
        this.y += step[1];
        this.place();
      } else return;
      event.preventDefault();
    }

    /* A file that needs no style sheet: what the page's says is written into a copy. */
    save() {
      const copy = this.svg.cloneNode(true);
      const originals = this.svg.querySelectorAll("*");
      copy.querySelectorAll("*").forEach((element, at) => {
        const style = getComputedStyle(originals[at]);
        for (const name of ["fill", "stroke", "stroke-width", "font-size", "font-weight", "font-family"]) element.setAttribute(name, style.getPropertyValue(name));
      });
      copy.firstChild.setAttribute("transform", "translate(0,0)");
      copy.setAttribute("viewBox", `0 0 ${this.size[0]} ${this.size[1]}`);
      copy.setAttribute("width", this.size[0]);
      copy.setAttribute("height", this.size[1]);
      const ground = g.s("rect", { width: this.size[0], height: this.size[1], fill: g.color("--surface") });
      copy.insertBefore(ground, copy.firstChild);
      g.download(`${this.fileName}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(copy));
    }

    destroy() {
      this.observer.disconnect();
    }
  }

  g.download = (name, type, text) => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = h("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10e3);
  };

  g.Graph = Graph;
})(globalThis.gcotel);
