"use strict";
/* Charts over time, by uPlot: one zoom and one cursor for all charts of a group, colours of the theme. */
(function (g) {
  const { h } = g;
  const uPlot = globalThis.uPlot;
  const HEIGHT = 208;

  /* The charts that zoom together.  Without a zoom, they follow the present. */
  class Group {
    constructor(spanMs) {
      this.spanMs = spanMs;
      this.charts = new Set();
      this.zoomed = null;
      this.end = null;
      this.sync = uPlot.sync(`group-${Math.random()}`);
      this.onzoom = () => {};
    }

    range() {
      if (this.zoomed) return this.zoomed;
      const end = this.end === null ? Date.now() / 1000 : this.end;
      return [end - this.spanMs / 1000, end];
    }

    zoom(range) {
      this.zoomed = range;
      this.onzoom(range);
      this.draw();
    }

    draw() {
      for (const chart of this.charts) chart.rescale();
    }

    destroy() {
      for (const chart of [...this.charts]) chart.destroy();
    }
  }

  function axis(format, more) {
    const ink = g.color("--muted");
    const line = g.color("--grid");
    return {
      stroke: ink,
      font: "11px Inter, sans-serif",
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
      border: { show: false },
      size: 66,
      gap: 6,
      values: format ? (_, values) => values.map((value) => (value === null ? "" : format(value))) : undefined,
      ...more,
    };
  }

  function timeAxis() {
    const two = (value) => String(value).padStart(2, "0");
    return axis(null, {
      size: 26,
      space: 70,
      grid: { show: false },
      values: (plot, splits) => {
        const short = plot.scales.x.max - plot.scales.x.min < 600;
        return splits.map((s) => {
          const d = new Date(s * 1000);
          return `${two(d.getHours())}:${two(d.getMinutes())}${short ? `:${two(d.getSeconds())}` : ""}`;
        });
      },
    });
  }

  /* Splits of a byte axis at 1, 2, 4, 8… of a power of 1024, so that its numbers are short. */
  g.byteSplits = (_, __, min, max) => {
    const rough = Math.max(1, (max - min) / 4);
    let step = 1;
    while (step < rough) step *= 2;
    const found = [];
    for (let at = Math.ceil(min / step) * step; at <= max; at += step) found.push(at);
    return found;
  };

  class Chart {
    /* series: [{label, color, format, scale, width, dash, fill, shape}], data: [[unix s], …] as uPlot takes it. */
    constructor(group, { series, scales, axes, label, draw, hover, height, legend }) {
      this.group = group;
      this.data = [[], ...series.map(() => [])];
      this.series = series;
      this.scales = scales || {};
      this.axes = axes || [];
      this.drawMore = draw;
      this.hover = hover;
      this.height = height || HEIGHT;
      this.tip = h("div", { class: "tip", hidden: true });
      this.box = h("div", { class: "plot", role: "img", "aria-label": label });
      this.node = h("div", { class: "chart" }, legend === false ? null : this.legend(), this.box);
      this.plot = null;
      this.observer = new ResizeObserver(() => this.fit());
      this.observer.observe(this.box);
      group.charts.add(this);
    }

    legend() {
      return h(
        "ul",
        { class: "legend" },
        this.series.map((each) => h("li", {}, h("span", { class: `mark ${each.shape || (each.dash ? "dash" : "line")}`, style: { "--mark": `var(${each.color})` } }), each.label)),
      );
    }

    fit() {
      const width = this.box.clientWidth;
      if (!width) return;
      if (!this.plot) this.build(width);
      else if (this.plot.width !== width) this.plot.setSize({ width, height: this.height });
    }

    build(width) {
      const chart = this;
      const series = this.series.map((each) => ({
        label: each.label,
        scale: each.scale || "y",
        stroke: g.color(each.color),
        fill: each.fill ? g.color(each.fill) : undefined,
        width: each.width || 1.75,
        dash: each.dash,
        points: { show: false },
        paths: each.shape ? () => null : each.stepped ? uPlot.paths.stepped({ align: -1 }) : undefined,
        spanGaps: Boolean(each.spanGaps),
      }));
      this.plot = new uPlot(
        {
          width,
          height: this.height,
          padding: [10, 8, 0, 0],
          legend: { show: false },
          cursor: {
            sync: { key: this.group.sync.key, setSeries: false, scales: ["x", null] },
            drag: { x: true, y: false, setScale: false },
            points: { size: 6, show: !this.hover },
            y: false,
          },
          scales: { x: { time: true, range: () => chart.group.range() }, ...this.scales },
          series: [{}, ...series],
          axes: [timeAxis(), ...this.axes],
          hooks: {
            setSelect: [(plot) => this.selected(plot)],
            setCursor: [(plot) => this.pointed(plot)],
            draw: this.drawMore ? [(plot) => this.drawMore(plot, this)] : [],
          },
        },
        this.data,
        this.box,
      );
      this.plot.over.addEventListener("dblclick", () => this.group.zoom(null));
      this.plot.over.append(this.tip);
    }

    selected(plot) {
      if (plot.select.width < 4) return;
      const from = plot.posToVal(plot.select.left, "x");
      const to = plot.posToVal(plot.select.left + plot.select.width, "x");
      plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      this.group.zoom([from, to]);
    }

    pointed(plot) {
      const { left, top, idx } = plot.cursor;
      const content = left < 0 || !plot.over.matches(":hover") ? null : this.hover ? this.hover(plot, left, top) : this.valuesAt(idx);
      this.tip.hidden = !content;
      if (!content) return;
      g.fill(this.tip, content.lines);
      const x = content.left ?? left;
      const flip = x > plot.over.clientWidth / 2;
      this.tip.style.left = flip ? "auto" : `${x + 14}px`;
      this.tip.style.right = flip ? `${plot.over.clientWidth - x + 14}px` : "auto";
      this.tip.style.top = `${Math.max(0, Math.min(top - 12, plot.over.clientHeight - 24 - content.lines.length * 16))}px`;
    }

    valuesAt(idx) {
      if (idx === null || idx === undefined || this.data[0][idx] === undefined) return null;
      const lines = [h("b", {}, g.clock(this.data[0][idx] * 1000))];
      this.series.forEach((each, at) => {
        const value = this.data[at + 1][idx];
        if (g.known(value)) lines.push(g.tipLine(each.label, each.format(value), each.color));
      });
      return { lines };
    }

    set(data) {
      this.data = data;
      if (this.plot) this.plot.setData(data, true);
    }

    rescale() {
      if (this.plot) this.plot.setData(this.data, true);
    }

    restyle() {
      if (!this.plot) return;
      this.plot.destroy();
      this.plot = null;
      this.fit();
    }

    destroy() {
      this.observer.disconnect();
      this.group.charts.delete(this);
      if (this.plot) this.plot.destroy();
      this.plot = null;
    }
  }

  g.tipLine = (name, value, color) =>
    h("div", { class: "tip-line" }, color && h("span", { class: "mark line", style: { "--mark": `var(${color})` } }), h("span", {}, name), h("span", { class: "tip-value" }, value));

  /* A small line without axes, for a row of a table; drawn again only for other numbers. */
  g.sparkline = (values, { width = 112, height = 26, color = "var(--accent)" } = {}) => {
    const known = values.filter(g.known);
    const svg = g.s("svg", { class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    if (known.length < 2) return svg;
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const range = Math.max(high - low, high * 0.02, 1);
    const at = (value, index) => [
      (index / (values.length - 1)) * (width - 4) + 2,
      height - 3 - ((value - low) / range) * (height - 6),
    ];
    const points = values.map((value, index) => (g.known(value) ? at(value, index) : null)).filter(Boolean);
    const line = points.map((point) => point.map((each) => each.toFixed(1)).join(",")).join(" ");
    const [first, last] = [points[0], points.at(-1)];
    svg.append(
      g.s("polygon", { points: `${first[0].toFixed(1)},${height} ${line} ${last[0].toFixed(1)},${height}`, class: "spark-fill" }),
      g.s("polyline", { points: line, fill: "none", class: "spark-line" }),
      g.s("circle", { cx: last[0].toFixed(1), cy: last[1].toFixed(1), r: 2, class: "spark-dot" }),
    );
    svg.style.setProperty("--spark", color);
    return svg;
  };

  g.Group = Group;
  g.Chart = Chart;
  g.axis = axis;
})(globalThis.gcotel);
