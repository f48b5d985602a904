"use strict";
/* One process: its hour, live; or, when it has ended, frozen at its end. */
(function (g) {
  const { h } = g;
  const SPANS = [["5 min", 300e3], ["15 min", 900e3], ["1 h", 3600e3]];
  const LIVE_MS = 1000;

  g.card = (title, word, content, more) => h("section", { class: `card ${more || ""}` }, h("header", {}, h("h2", {}, title, word && g.hint(word))), content);

  const bytesAxis = () => g.axis(g.bytes, { space: 36, splits: g.byteSplits });

  class Process {
    constructor(page, id, tab) {
      Object.assign(this, { page, id, tab, base: `/api/v1/processes/${id}` });
      const span = Number(new URLSearchParams(location.search).get("span")) * 1000;
      this.chosen = SPANS.some(([, ms]) => ms === span);
      this.group = new g.Group(this.chosen ? span : 900e3);
      this.group.onzoom = () => this.markSpans();
      this.live = new g.Live();
      this.h1 = h("h1", {}, "…");
      this.sub = h("p", { class: "muted lead" });
      this.chip = h("span", {});
      this.verdict = h("div", { class: "verdict", role: "status" });
      this.tabs = h("nav", { class: "tabs", "aria-label": "Views of this process" }, this.tabLink("", "Overview"), this.tabLink("heap", "Heap"));
      this.body = h("div", { class: "view-body" });
      this.node = h("div", { class: "view" }, h("div", { class: "view-head" }, h("div", {}, h("div", { class: "title-line" }, this.h1, this.chip), this.sub), this.tabs), this.verdict, this.body);
      this.heap = tab === "heap" ? new g.Heap(this) : null;
      g.fill(this.body, this.heap ? this.heap.node : this.overview());
    }

    tabLink(tab, title) {
      return g.link(`/process/${this.id}${tab ? `/${tab}` : ""}`, { "aria-current": this.tab === tab ? "page" : null }, title);
    }

    overview() {
      this.tiles = {
        rss: g.tile("Memory (RSS)", "rss"),
        growth: g.tile("Growth", "growth"),
        p99: g.tile("p99 pause, last minute", "pause_p99"),
        longest: g.tile("Longest pause", "pause_max"),
        share: g.tile("Time in GC", "share"),
        blocks: g.tile("Allocated blocks", "blocks"),
      };
      this.spans = h("div", { class: "spans", role: "group", "aria-label": "Time shown" }, SPANS.map(([title, ms]) => h("button", { type: "button", onclick: () => this.show(ms), "data-ms": ms }, title)));
      this.reset = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.group.zoom(null) }, "Back to now");
      this.charts();
      this.histogram = new g.Histogram();
      this.longest = g.longestTable();
      this.pending = h("div", { class: "pending" });
      this.facts = h("dl", { class: "facts" });
      this.markSpans();
      return [
        h("div", { class: "tiles" }, Object.values(this.tiles)),
        h("div", { class: "bar" }, this.spans, this.reset, h("span", { class: "muted small" }, "Drag over a chart to zoom all; double-click to go back.")),
        g.card("Memory", "rss", this.memory.node, "wide"),
        g.card("Collections", "scatter", this.scatter.node, "wide"),
        h(
          "div",
          { class: "grid" },
          g.card("Duration", "histogram", this.histogram.node),
          g.card("Collections per second", "rate", this.rates.node),
          g.card("Share of time in collections", "share", this.share.node),
          g.card("Objects freed by a collection", "yield", this.yields.node),
          g.card("Until the next collection", "pending", this.pending),
          g.card("Python blocks", "blocks", this.blocks.node),
        ),
        g.card("The longest collections", "pause_max", this.longest.node, "wide"),
        g.card("About this process", "overhead", this.facts, "wide"),
      ];
    }

    charts() {
      const group = this.group;
      this.memory = new g.Chart(group, {
        label: "Memory over time",
        series: [
          { label: "RSS", color: "--accent", format: g.bytes, fill: "--accent-fill", width: 2 },
          { label: "USS", color: "--second", format: g.bytes },
          { label: "Limit", color: "--bad", format: g.bytes, dash: [6, 5], width: 1.25 },
        ],
        scales: { y: { range: (_, low, high) => this.memoryRange(low, high) } },
        axes: [bytesAxis()],
        height: 240,
      });
      this.scatter = new g.Scatter(group, this.live);
      const from0 = { y: { range: (_, low, high) => [0, (high || 1) * 1.12] } };
      this.rates = new g.Chart(group, { label: "Collections per second by generation", series: g.GENERATIONS.map((each) => ({ ...each, shape: null, format: (value) => g.rate(value) })), scales: from0, axes: [g.axis((value) => g.rate(value, ""), { space: 32 })] });
      this.yields = new g.Chart(group, {
        label: "Objects freed by a collection, by generation",
        series: g.GENERATIONS.map((each) => ({ ...each, shape: null, format: (value) => g.rate(value, ""), spanGaps: true })),
        scales: from0,
        axes: [g.axis((value) => g.rate(value, ""), { space: 32 })],
      });
      this.share = new g.Chart(group, {
        label: "Share of time in collections",
        series: [{ label: "In collections", color: "--second", fill: "--second-fill", format: g.percent }],
        scales: { y: { range: (_, low, high) => [0, Math.min(1, Math.max(0.01, (high || 0) * 1.15))] } },
        axes: [g.axis(g.percent, { space: 32 })],
        legend: false,
      });
      this.blocks = new g.Chart(group, { label: "Allocated blocks over time", series: [{ label: "Blocks", color: "--accent", format: g.count, spanGaps: true }], scales: {}, axes: [g.axis(g.count, { space: 32 })], legend: false });
    }

    /* The limit is in the picture where memory has come near it; else it would press the line flat. */
    memoryRange() {
      const { rss_bytes: rss, uss_bytes: uss, limit_bytes: limit, unix_ms: at } = this.live.points.columns;
      const [from, to] = this.group.range();
      let [low, high, most] = [Infinity, 0, 0];
      for (let i = 0; i < at.length; i += 1) {
        if (at[i] < from * 1000 || at[i] > to * 1000) continue;
        for (const value of [rss[i], uss[i]]) {
          if (!g.known(value)) continue;
          if (value < low) low = value;
          if (value > high) high = value;
        }
        if (g.known(limit[i]) && limit[i] > most) most = limit[i];
      }
      if (!high) return [0, 1024 * 1024];
      if (most && high > 0.4 * most) return [0, most * 1.06];
      const room = Math.max((high - low) * 0.15, high * 0.02);
      return [Math.max(0, low - room), high + room];
    }

    async start() {
      const { process, now_unix_ms: now } = await g.get(this.base);
      const [historyOf, collections] = await Promise.all([g.get(`${this.base}/history`), g.get(`${this.base}/collections`)]);
      this.live.load(process, historyOf, collections);
      this.group.end = process.is_alive && !g.frozen ? null : this.end(process, now);
      if (!this.chosen && !this.heap) this.fitSpan(now);
      this.update(now);
      if (this.heap) await this.heap.start();
      if (process.is_alive) this.stop = g.poll((signal) => this.page.contained(() => this.tick(signal)), LIVE_MS);
    }

    end(process, now) {
      const last = this.live.points.columns.unix_ms.at(-1);
      return Math.max(process.is_alive ? now : process.seen_unix_ms, last || 0) / 1000 + 1;
    }

    /* Of a short life, only the span that it had. */
    fitSpan(now) {
      const first = this.live.points.columns.unix_ms[0] ?? this.live.process.recorded_since_unix_ms;
      const lived = (this.group.end === null ? now : this.group.end * 1000) - first;
      this.group.spanMs = (SPANS.find(([, ms]) => ms >= lived) || SPANS.at(-1))[1];
      this.markSpans();
    }

    async tick(signal) {
      const answer = await g.get(`${this.base}/live?since=${this.live.last}`, signal);
      this.live.tick(answer);
      if (!answer.process.is_alive) {
        this.stop();
        this.group.end = this.end(answer.process, answer.now_unix_ms);
      }
      this.update(answer.now_unix_ms);
    }

    update(now) {
      const process = this.live.process;
      this.page.alive(now, process.is_alive ? "" : "ended");
      if (this.named !== process.service_name) {
        this.named = process.service_name;
        g.write(this.h1, process.service_name);
        this.page.headline(g.frozen ? g.frozen.location : location.pathname);
      }
      g.fill(this.chip, g.stateChip(process));
      g.write(this.sub, [`pid ${process.pid}`, process.program, `Python ${process.python_version}`, process.service_version, process.is_alive ? `up ${g.span(process.uptime_ms)}` : `lived ${g.span(process.uptime_ms)}, until ${g.day(process.seen_unix_ms)}`].filter(Boolean).join(" · "));
      g.showVerdict(this.verdict, process, this.live);
      if (this.heap) this.heap.update(process);
      else this.updateOverview(process);
    }

    updateOverview(process) {
      const live = this.live;
      const x = live.seconds();
      const { rss_bytes: rss, uss_bytes: uss, limit_bytes: limit, allocated_blocks: blocks } = live.points.columns;
      this.memory.set([x, rss, uss, limit]);
      this.blocks.set([x, blocks]);
      this.share.set([x, live.rateOf("duration_sum_ns", 1e-6)]);
      const { x: seconds, rates, yields } = live.byGeneration();
      this.rates.set([seconds, ...rates]);
      this.yields.set([seconds, ...yields]);
      this.scatter.update();
      this.histogram.update(process.histogram, process.longest_pause_ns);
      this.longest.set(live.longest);
      this.updateTiles(process);
      g.showPending(this.pending, process.interpreter);
      g.showFacts(this.facts, process);
    }

    updateTiles(process) {
      const { tiles } = this;
      const lately = process.lately || {};
      const interpreter = process.interpreter || {};
      const limit = g.known(process.limit_bytes) ? `${g.percent(process.memory_share)} of ${g.bytes(process.limit_bytes)} (${process.limit_source})` : "no limit known";
      g.setTile(tiles.rss, g.bytes(process.rss_bytes), limit, g.level(process.memory_share, 0.75, 0.9));
      const at = this.live.points.columns.unix_ms;
      g.setTile(tiles.growth, g.growth(process.growth_bytes_per_h), g.known(process.growth_bytes_per_h) ? `slope of ${g.shortSpan(at.at(-1) - at[0])}` : "known after a minute");
      g.setTile(tiles.p99, g.pause(lately.p99_pause_ns), `${lately.is_estimate ? "estimate, " : ""}${g.plural(lately.collections || 0, "collection")} in ${g.shortSpan(lately.window_ms || 0)}`, g.level(lately.p99_pause_ns, 20e6, 200e6));
      g.setTile(tiles.longest, g.pause(process.longest_pause_ns), `of ${g.plural(process.collections, "collection")}`, g.level(process.longest_pause_ns, 100e6, 1e9));
      g.setTile(tiles.share, g.percent(lately.share_in_gc), `${g.percent(process.share_in_gc)} since the start`, g.level(lately.share_in_gc, 0.05, 0.1));
      g.setTile(tiles.blocks, g.count(interpreter.allocated_blocks), process.memory ? `${g.plural(process.memory.threads, "thread")}, ${g.plural(process.memory.file_descriptors, "descriptor")}` : "");
    }

    show(ms) {
      this.group.spanMs = ms;
      this.group.zoom(null);
      this.page.remember(new URLSearchParams({ span: ms / 1000 }));
    }

    markSpans() {
      for (const button of this.spans?.children || []) button.setAttribute("aria-pressed", String(!this.group.zoomed && Number(button.dataset.ms) === this.group.spanMs));
      if (this.reset) this.reset.hidden = !this.group.zoomed;
    }

    exports() {
      return `/export/process/${this.id}${this.tab === "heap" ? "?view=heap" : ""}`;
    }

    title() {
      const name = this.live.process ? `${this.live.process.service_name} ${this.live.process.pid}` : `Process ${this.id}`;
      return this.tab === "heap" ? `${name}, heap` : name;
    }

    restyle() {
      for (const chart of this.group.charts) chart.restyle();
      this.heap?.restyle();
    }

    close() {
      if (this.stop) this.stop();
      this.group.destroy();
      this.heap?.close();
    }
  }

  g.Process = Process;
})(globalThis.gcotel);
