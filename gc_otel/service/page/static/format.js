"use strict";
/* Numbers as people read them.  None of them says a unit that the number does not have; what is not known is a dash. */
(function (g) {
  const UNKNOWN = "–";
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

  const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

  function digits(value) {
    const size = Math.abs(value);
    return value.toLocaleString("en", { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2 });
  }

  function scaled(value, units, step) {
    let at = 0;
    while (Math.abs(value) >= step * 0.9995 && at < units.length - 1) {
      value /= step;
      at += 1;
    }
    return `${digits(value)} ${units[at]}`;
  }

  const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

  g.bytes = (value) => (known(value) ? scaled(value, BYTES, 1024) : UNKNOWN);

  g.count = (value) => {
    if (!known(value)) return UNKNOWN;
    return Math.abs(value) < 1e6 ? whole.format(value) : scaled(value, ["", "k", "M", "G", "T"], 1000).trim();
  };

  g.rate = (value, what = "/s") => (known(value) ? `${digits(value)}${what}` : UNKNOWN);

  g.percent = (value) => {
    if (!known(value)) return UNKNOWN;
    const percent = value * 100;
    if (percent > 0 && percent < 0.01) return "< 0.01 %";
    return `${percent.toLocaleString("en", { maximumFractionDigits: percent >= 10 ? 0 : percent >= 1 ? 1 : 2 })} %`;
  };

  g.pause = (ns) => {
    if (!known(ns)) return UNKNOWN;
    if (ns === 0) return "0 ms";
    if (ns < 1e3) return `${whole.format(ns)} ns`;
    if (ns < 999.5e3) return `${digits(ns / 1e3)} µs`;
    if (ns < 999.5e6) return `${digits(ns / 1e6)} ms`;
    return `${digits(ns / 1e9)} s`;
  };

  g.span = (ms) => {
    if (!known(ms)) return UNKNOWN;
    const s = Math.max(0, ms) / 1000;
    if (s < 60) return `${Math.floor(s)} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };

  g.shortSpan = (ms) => (known(ms) ? g.span(ms).split(" ").slice(0, 2).join(" ") : UNKNOWN);

  g.growth = (bytes) => (known(bytes) ? `${bytes > 0 ? "+" : bytes < 0 ? "−" : ""}${g.bytes(Math.abs(bytes))}/h` : UNKNOWN);

  g.signed = (value, format) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${format(Math.abs(value))}`;

  g.clock = (unixMs) => (known(unixMs) ? new Date(unixMs).toLocaleTimeString("en-GB") : UNKNOWN);

  g.day = (unixMs) =>
    known(unixMs)
      ? new Date(unixMs).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" })
      : UNKNOWN;

  g.known = known;
  g.UNKNOWN = UNKNOWN;
  g.plural = (count, one, many) => `${g.count(count)} ${count === 1 ? one : many || `${one}s`}`;
})(globalThis.gcotel);
