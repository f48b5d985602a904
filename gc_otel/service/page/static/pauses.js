"use strict";
/* Collections one by one, and how long they take: the marks, the histogram, the table of the longest. */
(function (g) {
  const { h, s } = g;
  const COLORS = ["--gen0", "--gen1", "--gen2"];

  g.GENERATIONS = COLORS.map((color, at) => ({ color, label: `Generation ${at}`, shape: ["dot", "square", "triangle"][at] }));

  /* A shape for each generation, beside its colour: for those who do not see the colours apart. */
  function mark(context, generation, x, y, size) {
    context.beginPath();
    if (generation === 0) context.arc(x, y, size, 0, 2 * Math.PI);
    else if (generation === 1) context.rect(x - size, y - size, 2 * size, 2 * size);
    else {
      context.moveTo(x, y - 1.4 * size);
      context.lineTo(x + 1.3 * size, y + size);
      context.lineTo(x - 1.3 * size, y + size);
      context.closePath();
    }
  }

  function decades(low, high) {
    const found = [];
    for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power += 1) found.push(10 ** power);
    return found;
  }

  class Scatter {
    constructor(group, live) {
      this.live = live;
      this.events = [];
      this.chart = new g.Chart(group, {
        label: "Every collection by time and duration, on a logarithmic axis",
        series: [...g.GENERATIONS.map((each) => ({ ...each, scale: "y" })), { label: "Longest between two samples", color: "--faint" }],
        scales: { y: { distr: 3, log: 10, range: () => this.range() } },
        axes: [g.axis(g.pause, { splits: (_, __, low, high) => decades(low, high) })],
        draw: (plot) => this.draw(plot),
        hover: (plot, left, top) => this.hover(plot, left, top),
        height: 260,
      });
      this.node = this.chart.node;
    }

    range() {
      let [low, high] = [Infinity, 0];
      for (const { duration_ns: ns } of this.events) {
        if (ns > 0 && ns < low) low = ns;
        if (ns > high) high = ns;
      }
      for (const ns of this.live.points.columns.window_max_ns) if (ns > high) high = ns;
      if (!high) return [1e4, 1e8];
      return [10 ** Math.floor(Math.log10(Math.min(low, high))), 10 ** Math.ceil(Math.log10(high * 1.1))];
    }

    update() {
      this.events = this.live.marks();
      const x = this.events.map((event) => event.start_unix_ms / 1000);
      const by = [0, 1, 2].map((generation) => this.events.map((event) => (event.generation === generation ? Math.max(1, event.duration_ns) : null)));
      this.chart.set([x, ...by, x.map(() => null)]);
    }

    draw(plot) {
      const context = plot.ctx;
      const ratio = devicePixelRatio;
      context.save();
      context.beginPath();
      context.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
      context.clip();
      this.drawLine(plot, context, ratio);
      const styles = COLORS.map((color) => g.color(color));
      const ground = g.color("--surface");
      const [from, to] = [plot.scales.x.min * 1000, plot.scales.x.max * 1000];
      for (const event of this.events) {
        if (event.start_unix_ms < from || event.start_unix_ms > to || !event.duration_ns) continue;
        const x = plot.valToPos(event.start_unix_ms / 1000, "x", true);
        const y = plot.valToPos(event.duration_ns, "y", true);
        mark(context, event.generation, x, y, (event.generation === 0 ? 2 : 2.8) * ratio);
        context.fillStyle = event.is_explicit ? ground : styles[event.generation];
        context.globalAlpha = event.generation === 0 ? 0.6 : 0.85;
        context.fill();
        if (event.is_explicit) {
          context.strokeStyle = styles[event.generation];
          context.lineWidth = 1.5 * ratio;
          context.stroke();
        }
      }
      context.restore();
    }

    drawLine(plot, context, ratio) {
      const { unix_ms: at, window_max_ns: longest } = this.live.points.columns;
      context.beginPath();
      context.strokeStyle = g.color("--faint");
      context.lineWidth = 1.25 * ratio;
      let pen = false;
      for (let i = 0; i < at.length; i += 1) {
        if (!longest[i]) {
          pen = false;
          continue;
        }
        const x = plot.valToPos(at[i] / 1000, "x", true);
        const y = plot.valToPos(longest[i], "y", true);
        if (pen) context.lineTo(x, y);
        else context.moveTo(x, y);
        pen = true;
      }
      context.stroke();
    }

    hover(plot, left, top) {
      let [best, distance] = [null, 18 * 18];
      const [from, to] = [plot.scales.x.min * 1000, plot.scales.x.max * 1000];
      for (const event of this.events) {
        if (event.start_unix_ms < from || event.start_unix_ms > to || !event.duration_ns) continue;
        const dx = plot.valToPos(event.start_unix_ms / 1000, "x") - left;
        const dy = plot.valToPos(event.duration_ns, "y") - top;
        if (dx * dx + dy * dy < distance) [best, distance] = [event, dx * dx + dy * dy];
      }
      return best && { lines: describe(best) };
    }
  }

  function describe(event) {
    const lines = [
      h("b", {}, g.clock(event.start_unix_ms)),
      g.tipLine(`Generation ${event.generation}${event.is_explicit ? ", gc.collect()" : ""}`, g.pause(event.duration_ns), COLORS[event.generation]),
      g.tipLine("Freed", g.plural(event.collected, "object")),
    ];
    if (event.uncollectable) lines.push(g.tipLine("Could not free", g.count(event.uncollectable)));
    if (event.candidates) lines.push(g.tipLine("Examined", g.count(event.candidates)));
    lines.push(g.tipLine("Thread", event.thread_id));
    if (event.trace_id) lines.push(g.tipLine("Trace", event.trace_id));
    return lines;
  }

  /* The bounds of the columns, open at both ends: half and double of the outermost. */
  function edges(bounds) {
    return [bounds[0] / 2, ...bounds, bounds.at(-1) * 2];
  }

  function quantile(counts, bounds, share, longest) {
    const total = counts.reduce((sum, each) => sum + each, 0);
    if (!total) return null;
    const around = edges(bounds);
    let below = 0;
    for (let i = 0; i < counts.length; i += 1) {
      if (counts[i] && below + counts[i] >= share * total) {
        const part = (share * total - below) / counts[i];
        return Math.min(longest, around[i] * (around[i + 1] / around[i]) ** part);
      }
      below += counts[i];
    }
    return longest;
  }

  /* One row of columns for each generation, on one logarithmic axis of durations: a sum would hide the few long ones. */
  class Histogram {
    constructor() {
      this.node = h("div", { class: "histogram" });
      this.mark = "";
    }

    update(histogram, longest) {
      const mark = histogram.counts.join();
      if (mark === this.mark) return;
      this.mark = mark;
      const [width, row, left, top] = [520, 58, 58, 26];
      const { bounds_ns: bounds, counts, counts_by_generation: by } = histogram;
      const step = (width - left - 12) / counts.length;
      const around = edges(bounds);
      const place = (ns) => {
        const i = Math.max(0, Math.min(counts.length - 1, around.findIndex((edge) => edge > ns) - 1));
        const inside = Math.log(Math.max(ns, around[i]) / around[i]) / Math.log(around[i + 1] / around[i]);
        return left + step * (i + Math.min(1, Math.max(0, inside)));
      };
      const height = top + 3 * row + 26;
      const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words(counts, bounds, longest) });
      by.forEach((each, generation) => svg.append(...columns(each, generation, { left, step, row, top })));
      bounds.forEach((ns, i) => i % 2 === 0 && svg.append(s("text", { x: left + step * (i + 1), y: height - 8, class: "axis-text", "text-anchor": "middle" }, g.pause(ns).replace(" ", " "))));
      const lines = [["p50", quantile(counts, bounds, 0.5, longest)], ["p99", quantile(counts, bounds, 0.99, longest)], ["max", longest]];
      lines.forEach(([name, ns]) => {
        if (!ns) return;
        const x = place(ns);
        svg.append(s("line", { x1: x, x2: x, y1: top - 6, y2: top + 3 * row, class: "quantile" }), s("text", { x, y: top - 10, class: "quantile-text", "text-anchor": "middle" }, name));
      });
      const total = counts.reduce((sum, each) => sum + each, 0);
      g.fill(this.node, svg, h("p", { class: "caption" }, total ? words(counts, bounds, longest) : "No collection yet."));
    }
  }

  function words(counts, bounds, longest) {
    const total = counts.reduce((sum, each) => sum + each, 0);
    const [half, most] = [0.5, 0.99].map((share) => quantile(counts, bounds, share, longest));
    return `${g.plural(total, "collection")}: half took up to ~${g.pause(half)}, 99 % up to ~${g.pause(most)}, the longest ${g.pause(longest)}`;
  }

  function columns(counts, generation, { left, step, row, top }) {
    const high = Math.max(1, ...counts);
    const base = top + row * (generation + 1);
    const total = counts.reduce((sum, each) => sum + each, 0);
    const made = [
      s("line", { x1: left, x2: left + step * counts.length, y1: base - 0.5, y2: base - 0.5, class: "base" }),
      s("text", { x: 0, y: base - 22, class: "row-text" }, `gen ${generation}`),
      s("text", { x: 0, y: base - 6, class: "axis-text" }, g.count(total)),
    ];
    counts.forEach((count, i) => {
      if (!count) return;
      const tall = Math.max(2, (count / high) * (row - 16));
      const bar = s("rect", { x: left + step * i + 1.5, y: base - tall, width: step - 3, height: tall, rx: 2, class: `gen${generation}` });
      bar.append(s("title", {}, `${g.plural(count, "collection")} of generation ${generation}`));
      made.push(bar);
    });
    return made;
  }

  g.longestTable = () =>
    new g.Table({
      label: "The longest collections",
      key: (event) => event.number,
      sort: ["duration", false],
      most: 8,
      empty: "No collection yet.",
      columns: [
        { id: "when", title: "When", value: (event) => event.start_unix_ms, cell: g.text((event) => g.day(event.start_unix_ms)) },
        { id: "generation", title: "Gen", number: true, value: (event) => event.generation, cell: g.text((event) => String(event.generation)) },
        { id: "duration", title: "Duration", number: true, value: (event) => event.duration_ns, cell: g.text((event) => g.pause(event.duration_ns)) },
        { id: "freed", title: "Freed", number: true, value: (event) => event.collected, cell: g.text((event) => g.count(event.collected)) },
        { id: "why", title: "Asked for by", value: (event) => (event.is_explicit ? 1 : 0), cell: g.text((event) => (event.is_own ? "gc_otel" : event.is_explicit ? "gc.collect()" : "CPython")) },
        { id: "trace", title: "Thread, trace", value: (event) => event.thread_id, cell: g.text((event) => event.thread_id + (event.trace_id ? `, ${event.trace_id}` : "")) },
      ],
    });

  g.Scatter = Scatter;
  g.Histogram = Histogram;
})(globalThis.gcotel);
