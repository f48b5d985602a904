"use strict";
/* The hour of one process in the browser: bounded, however long the page stays open. */
(function (g) {
  const HOUR_MS = 3600e3;
  const POINTS_MOST = 4400; // an hour of one a second, and the hour before it at one in five
  const EVENTS_MOST = 4000;
  const NAMES = ["rss_bytes", "uss_bytes", "limit_bytes", "allocated_blocks", "duration_sum_ns", "window_max_ns", "cpu_ns", "threads"];

  class Ring {
    constructor(names) {
      this.columns = { unix_ms: [] };
      for (const name of names) this.columns[name] = [];
    }

    get length() {
      return this.columns.unix_ms.length;
    }

    push(point) {
      const last = this.columns.unix_ms.at(-1);
      if (last !== undefined && point.unix_ms <= last) return;
      for (const name of Object.keys(this.columns)) this.columns[name].push(point[name] ?? null);
      const old = this.columns.unix_ms.findIndex((at) => at > point.unix_ms - HOUR_MS);
      const gone = Math.max(old, this.length - POINTS_MOST, 0);
      if (gone > 60) for (const column of Object.values(this.columns)) column.splice(0, gone); // in portions: a splice copies
    }
  }

  class Live {
    constructor() {
      this.points = new Ring(NAMES);
      this.tallies = new Ring(["collections_by_generation", "collected_by_generation"]);
      this.events = [];
      this.longest = [];
      this.last = 0;
      this.process = null;
    }

    load(process, history, collections) {
      this.process = process;
      const { points, tallies } = history;
      points.unix_ms.forEach((unix_ms, at) => this.points.push({ unix_ms, ...Object.fromEntries(NAMES.map((name) => [name, points[name][at]])) }));
      tallies.unix_ms.forEach((unix_ms, at) =>
        this.tallies.push({ unix_ms, collections_by_generation: tallies.collections_by_generation[at], collected_by_generation: tallies.collected_by_generation[at] }),
      );
      this.take(collections.latest);
      this.longest = eventsOf(collections.longest);
    }

    tick(answer) {
      this.process = answer.process;
      this.longest = eventsOf(answer.process.longest);
      this.take(answer.latest);
      if (answer.point) {
        this.points.push(answer.point);
        this.tallies.push(answer.point);
      }
    }

    take(table) {
      for (const event of eventsOf(table)) {
        if (event.number > this.last) {
          this.last = event.number;
          this.events.push(event);
        }
      }
      const oldest = (this.events.at(-1)?.start_unix_ms || 0) - HOUR_MS;
      if (this.events.length > EVENTS_MOST || (this.events[0] && this.events[0].start_unix_ms < oldest - 60e3)) this.thin(oldest);
    }

    /* Of the older half the longest quarter stays: what is left out is what looks like its neighbours. */
    thin(oldest) {
      const kept = this.events.filter((event) => event.start_unix_ms >= oldest);
      if (kept.length <= EVENTS_MOST) {
        this.events = kept;
        return;
      }
      const half = kept.length >> 1;
      const old = kept.slice(0, half).sort((a, b) => b.duration_ns - a.duration_ns).slice(0, half >> 2);
      this.events = [...old.sort((a, b) => a.number - b.number), ...kept.slice(half)];
    }

    /* Everything to draw: the ring's latest, and the longest of all where the ring has forgotten them. */
    marks() {
      const first = this.events[0]?.number ?? Infinity;
      const early = this.longest.filter((event) => event.number < first).sort((a, b) => a.number - b.number);
      return [...early, ...this.events];
    }

    seconds() {
      return this.points.columns.unix_ms.map((ms) => ms / 1000);
    }

    /* Change per second of a counter of the points. */
    rateOf(name, scale) {
      const { unix_ms: at } = this.points.columns;
      const values = this.points.columns[name];
      return values.map((value, i) => {
        if (i === 0 || value === null || values[i - 1] === null || value < values[i - 1]) return null;
        return ((value - values[i - 1]) * scale) / (at[i] - at[i - 1]);
      });
    }

    /* Collections a second, and objects freed by each, by generation: over about five seconds, or they would jump. */
    byGeneration() {
      const { unix_ms: at, collections_by_generation: counts, collected_by_generation: freed } = this.tallies.columns;
      const x = [];
      const rates = [[], [], []];
      const yields = [[], [], []];
      let before = 0;
      for (let i = 1; i < at.length; i += 1) {
        while (at[i] - at[before + 1] >= 4500) before += 1;
        if (at[i] - at[before] < 900) continue;
        x.push(at[i] / 1000);
        for (const generation of [0, 1, 2]) {
          const times = counts[i][generation] - counts[before][generation];
          const objects = freed[i][generation] - freed[before][generation];
          rates[generation].push(times >= 0 ? (times * 1000) / (at[i] - at[before]) : null);
          yields[generation].push(times > 0 ? objects / times : null);
        }
      }
      return { x, rates, yields };
    }
  }

  function eventsOf(table) {
    const { columns, rows } = table;
    return rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
  }

  g.Live = Live;
})(globalThis.gcotel);
