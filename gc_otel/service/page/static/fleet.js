"use strict";
/* The fleet: who is there, who is in trouble, who has ended. */
(function (g) {
  const { h } = g;
  const EVERY_MS = 2000;

  const p99 = (row) => (row.lately ? row.lately.p99_pause_ns : null);
  const share = (row) => (row.is_alive && row.lately ? row.lately.share_in_gc : row.share_in_gc);

  g.level = (value, warn, bad) => (!g.known(value) ? "" : value >= bad ? "bad" : value >= warn ? "warn" : "");

  g.stateChip = (row) => {
    const [kind, words] = g.stateOf(row);
    return h("span", { class: `chip ${kind}` }, words);
  };

  /* One of ok, busy, gone, bad, and the words for it. */
  g.stateOf = (row) => {
    const end = row.ended;
    if (row.is_alive) return row.state === "collecting" ? ["busy", "collecting"] : ["ok", "running"];
    if (end) return [end.is_good ? "gone" : "bad", end.short];
    return [row.state === "exited" ? "gone" : "bad", row.state];
  };

  g.meter = (value, label) => {
    const known = g.known(value);
    const kind = g.level(value, 0.75, 0.9);
    return h(
      "span",
      { class: `meter ${kind}`, role: "img", "aria-label": known ? `${g.percent(value)} of ${label}` : `${label} unknown` },
      h("span", { style: { width: `${known ? Math.min(100, value * 100) : 0}%` } }),
    );
  };

  function nameCell(row, td) {
    const mark = `${row.id} ${row.service_name} ${row.program}`;
    if (td.dataset.mark === mark) return;
    td.dataset.mark = mark;
    g.fill(
      td,
      h(row.has_page ? "a" : "span", { class: "name", href: row.has_page && `/process/${row.id}`, title: row.has_page ? null : "Its flight file is not kept any more" }, h("b", {}, row.service_name), h("span", {}, `pid ${row.pid}`, row.program ? ` · ${row.program}` : "")),
    );
  }

  function stateCell(row, td) {
    const [kind, words] = g.stateOf(row);
    if (td.textContent !== words || !td.firstChild.classList.contains(kind)) g.fill(td, g.stateChip(row));
  }

  function memoryCell(row, td) {
    if (!td.firstChild) g.fill(td, h("span", { class: "value" }), h("span", { class: "sub" }));
    g.write(td.children[0], g.bytes(row.rss_bytes));
    g.write(td.children[1], g.known(row.limit_bytes) ? `of ${g.bytes(row.limit_bytes)}` : "no limit known");
    const old = td.children[2];
    const meter = g.meter(row.memory_share, "the memory limit");
    if (!old) td.append(meter);
    else if (!old.isEqualNode(meter)) old.replaceWith(meter);
  }

  function sparkCell(row, td) {
    const mark = String(row.sparkline.unix_ms.at(-1));
    if (td.dataset.mark === mark) return;
    td.dataset.mark = mark;
    g.fill(td, g.sparkline(row.sparkline.rss_bytes));
  }

  const graded = (value, warn, bad, format) => (row, td) => {
    g.write(td, format(value(row)));
    td.className = `number ${g.level(value(row), warn, bad)}`;
  };

  const COLUMNS = [
    { id: "service", title: "Process", heading: true, value: (row) => `${row.service_name} ${String(row.pid).padStart(10, "0")}`, cell: nameCell },
    { id: "state", title: "State", word: "state", value: (row) => row.state, cell: stateCell },
    { id: "p99", title: "p99 pause", word: "pause_p99", number: true, value: p99, cell: graded(p99, 20e6, 200e6, g.pause) },
    { id: "longest", title: "Longest", word: "pause_max", number: true, value: (row) => row.longest_pause_ns, cell: graded((row) => row.longest_pause_ns, 100e6, 1e9, g.pause) },
    { id: "share", title: "In GC", word: "share", number: true, value: share, cell: graded(share, 0.05, 0.1, g.percent) },
    { id: "memory", title: "Memory", word: "rss", number: true, value: (row) => row.rss_bytes, cell: memoryCell },
    { id: "trend", title: "Last hour", cell: sparkCell },
    { id: "growth", title: "Growth", word: "growth", number: true, value: (row) => row.growth_bytes_per_h, cell: g.text((row) => g.growth(row.growth_bytes_per_h)) },
    { id: "uptime", title: "Uptime", word: "uptime", number: true, value: (row) => row.uptime_ms, cell: g.text((row) => g.shortSpan(row.uptime_ms)) },
  ];
  const ENDED = COLUMNS.filter((column) => !["state", "p99"].includes(column.id));
  ENDED.splice(1, 0, { id: "end", title: "How it ended", value: (row) => g.stateOf(row)[1], cell: stateCell });
  ENDED.push({ id: "when", title: "Ended", number: true, value: (row) => row.seen_unix_ms, cell: g.text((row) => g.day(row.seen_unix_ms)) });

  g.tile = (title, word, id) =>
    h("div", { class: "tile", "data-tile": id }, h("div", { class: "tile-title" }, title, word && g.hint(word)), h("div", { class: "tile-value" }, g.UNKNOWN), h("div", { class: "tile-sub" }, " "));

  g.setTile = (tile, value, sub, kind) => {
    g.write(tile.children[1], value);
    g.write(tile.children[2], sub || " ");
    tile.className = `tile ${kind || ""}`;
  };

  class Fleet {
    constructor(page) {
      this.page = page;
      const query = new URLSearchParams(location.search);
      this.tiles = {
        living: g.tile("Recorded processes", "state"),
        memory: g.tile("Memory, all together", "rss"),
        nearest: g.tile("Nearest to its limit", "limit"),
        pause: g.tile("Longest p99 pause", "pause_p99"),
        share: g.tile("Most time in GC", "share"),
      };
      this.search = h("input", { type: "search", placeholder: "Search service, program or pid", "aria-label": "Search processes", value: query.get("q") || "", oninput: () => this.narrowed() });
      const sort = (query.get("sort") || "memory-down").split("-");
      const known = COLUMNS.some((column) => column.id === sort[0] && column.value);
      this.table = new g.Table({
        columns: COLUMNS,
        key: (row) => row.id,
        label: "Living processes",
        cards: true,
        sort: [known ? sort[0] : "memory", sort[1] === "up"],
        empty: "No living process is recorded. Start one with: gc-otel run -- python app.py",
        rowClass: (row) => (row.state === "collecting" && row.collecting_ns > 1e9 ? "alarm" : ""),
      });
      this.table.onsort = () => this.remember();
      this.ended = new g.Table({ columns: ENDED, key: (row) => row.id, label: "Ended processes", cards: true, sort: ["when", false], most: 10 });
      this.endedBox = h("section", { class: "card", hidden: true }, h("header", {}, h("h2", {}, "Ended"), h("p", { class: "muted" }, "Their flight files are kept: open one for its last numbers.")), this.ended.node);
      this.notice = h("p", { class: "notice", hidden: true });
      this.node = h(
        "div",
        { class: "view" },
        h("div", { class: "view-head" }, h("div", {}, h("h1", {}, "Fleet"), h("p", { class: "muted lead" }, "Every recorded process of this user, read from its flight file.")), this.search),
        h("div", { class: "tiles" }, Object.values(this.tiles)),
        this.notice,
        h("section", { class: "card" }, this.table.node),
        this.endedBox,
      );
    }

    async start() {
      await this.tick();
      this.stop = g.poll(() => this.page.contained(() => this.tick()), EVERY_MS);
    }

    async tick() {
      const answer = await g.get("/api/v1/processes");
      this.page.alive(answer.now_unix_ms);
      this.answer = answer;
      this.show();
    }

    narrowed() {
      this.remember();
      this.show();
    }

    remember() {
      const query = new URLSearchParams();
      if (this.search.value) query.set("q", this.search.value);
      const [id, up] = this.table.sort;
      if (id !== "memory" || up) query.set("sort", `${id}-${up ? "up" : "down"}`);
      this.page.remember(query);
    }

    show() {
      if (!this.answer) return;
      const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = (row) => words.every((word) => `${row.service_name} ${row.program} ${row.pid} ${row.service_version} ${row.python_version}`.toLowerCase().includes(word));
      const rows = this.answer.processes.filter(fits);
      const living = rows.filter((row) => row.is_alive);
      const ended = rows.filter((row) => !row.is_alive);
      this.table.set(living);
      this.ended.set(ended);
      this.endedBox.hidden = ended.length === 0;
      this.summary(living, ended);
      const skipped = this.answer.unreadable_files;
      this.notice.hidden = !skipped;
      g.write(this.notice, `${g.plural(skipped, "file")} of the flight folder cannot be read: gc-otel doctor says why.`);
    }

    summary(living, ended) {
      const top = (value) => living.reduce((best, row) => ((value(row) ?? -1) > (best ? value(best) ?? -1 : -1) ? row : best), null);
      const who = (row) => (row ? `${row.service_name}, pid ${row.pid}` : "");
      const died = ended.filter((row) => g.stateOf(row)[0] === "bad").length;
      g.setTile(this.tiles.living, g.count(living.length), died ? `${g.plural(died, "other")} died` : "none has died", died ? "warn" : "");
      const bytes = living.reduce((sum, row) => sum + (row.rss_bytes || 0), 0);
      g.setTile(this.tiles.memory, living.length ? g.bytes(bytes) : g.UNKNOWN, "shared pages count for each");
      const nearest = top((row) => row.memory_share);
      g.setTile(this.tiles.nearest, nearest ? g.percent(nearest.memory_share) : g.UNKNOWN, who(nearest), g.level(nearest?.memory_share, 0.75, 0.9));
      const slow = top(p99);
      g.setTile(this.tiles.pause, slow ? g.pause(p99(slow)) : g.UNKNOWN, who(slow), g.level(slow && p99(slow), 20e6, 200e6));
      const busy = top(share);
      g.setTile(this.tiles.share, busy ? g.percent(share(busy)) : g.UNKNOWN, who(busy), g.level(busy && share(busy), 0.05, 0.1));
    }

    exports() {
      return "/export/fleet";
    }

    title() {
      return "Fleet";
    }

    restyle() {}

    close() {
      if (this.stop) this.stop();
    }
  }

  g.Fleet = Fleet;
})(globalThis.gcotel);
