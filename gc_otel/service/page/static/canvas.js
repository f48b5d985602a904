"use strict";
/* A drawing to move and to zoom, by mouse, touch and keys, and to save as SVG; what is drawn is a subclass's matter. */
(function (g) {
  const { h, s } = g;

  class Canvas {
    constructor(label, fileName) {
      this.fileName = fileName;
      this.size = [1, 1];
      this.canvas = h("div", { class: "graph-canvas", tabindex: 0, role: "group", "aria-label": `${label}. Arrow keys move it, plus and minus zoom.`, onkeydown: (event) => this.key(event), onwheel: (event) => this.wheel(event), onpointerdown: (event) => this.grab(event) });
      const button = (title, act, words) => h("button", { class: "quiet", type: "button", "aria-label": words, onclick: act }, title);
      this.node = h(
        "div",
        { class: "graph" },
        h("div", { class: "graph-bar" }, button("+", () => this.zoomBy(1.25), "Zoom in"), button("−", () => this.zoomBy(0.8), "Zoom out"), button("Fit", () => this.fit(), "Show all of it"), button("Save SVG", () => this.save())),
        this.canvas,
      );
      this.observer = new ResizeObserver(() => this.width !== this.canvas.clientWidth && this.fit());
      this.observer.observe(this.canvas);
    }

    /* Lays out nodes {id, width, height} and edges [from, to] from left to right, and shows what `draw(layout)` makes of it. */
    lay(nodes, edges, draw) {
      const layout = new globalThis.dagre.graphlib.Graph({ directed: true }).setGraph({ rankdir: "LR", nodesep: 14, ranksep: 84, marginx: 16, marginy: 16 }).setDefaultEdgeLabel(() => ({}));
      for (const { id, width, height } of nodes) layout.setNode(id, { width, height });
      for (const [from, to] of edges) layout.setEdge(from, to);
      globalThis.dagre.layout(layout);
      const { width, height } = layout.graph();
      this.size = [Math.max(1, width), Math.max(1, height)];
      this.view = s("g", {}, draw(layout));
      this.svg = s("svg", { xmlns: "http://www.w3.org/2000/svg", role: "presentation" }, this.view);
      g.fill(this.canvas, this.svg);
      this.fit();
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

  /* A line from the right of one box to the left of another, or around where it goes back. */
  g.curve = (from, to) => {
    const [x1, x2] = [from.x + from.width / 2, to.x - to.width / 2];
    const reach = Math.max(40, Math.abs(x2 - x1) / 2);
    return `M${x1},${from.y} C${x1 + reach},${from.y} ${x2 - reach},${to.y} ${x2},${to.y}`;
  };

  g.shortened = (text, most) => (text.length <= most ? text : `${text.slice(0, most / 2 - 1)}…${text.slice(-(most / 2))}`);

  g.download = (name, type, text) => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = h("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10e3);
  };

  g.Canvas = Canvas;
})(globalThis.gcotel);
