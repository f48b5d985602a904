"use strict";
/* What stands out of one process, in a sentence, with the numbers that it rests on; and the small facts. */
(function (g) {
  const { h } = g;
  const HOUR_MS = 3600e3;

  /* [{kind, title, text}], the worst first. */
  function findings(process, live) {
    return [ended(process), stuck(process), limit(process, live), disabled(process), busy(process), uncollectable(process)].filter(Boolean);
  }

  function ended(process) {
    if (process.is_alive) return null;
    const end = process.ended;
    const words = end ? end.text : { exited: "It ended in good order.", died: "It ended without saying so: killed, or crashed.", "died collecting": "It ended in the middle of a collection: killed, or crashed." }[process.state];
    return { kind: end ? (end.is_good ? "quiet" : "bad") : process.state === "exited" ? "quiet" : "bad", title: "This process has ended.", text: `${words} What follows is what its flight file last said.` };
  }

  function stuck(process) {
    if (!process.is_alive || !(process.collecting_ns > 1e9)) return null;
    return { kind: "bad", title: "It stands still.", text: `A collection has been running for ${g.pause(process.collecting_ns)}.` };
  }

  /* The growth that is left when a quarter of the time shown has passed: every process grows when it starts. */
  function limit(process, live) {
    const { rss_bytes: rss, limit_bytes: most, growth_bytes_per_h: growth, memory_share: share } = process;
    if (!process.is_alive || !g.known(rss)) return null;
    if (g.known(share) && share > 0.9) return { kind: "bad", title: "Memory is almost at its limit.", text: `${g.bytes(rss)} of ${g.bytes(most)} are in use.` };
    const at = live.points.columns.unix_ms;
    const seen = at.at(-1) - at[0];
    if (!(growth > 0.02 * rss) || !(growth * seen > 0.02 * rss * HOUR_MS)) return null;
    const pace = `Memory grows by ${g.bytes(growth)} an hour, seen over ${g.shortSpan(seen)}.`;
    const left = g.known(most) ? ((most - rss) / growth) * HOUR_MS : Infinity;
    const when = left < 72 * HOUR_MS ? ` At this pace it reaches its limit of ${g.bytes(most)} in ${g.span(left)}.` : "";
    const soon = left < 24 * HOUR_MS && seen > HOUR_MS / 10; // of minutes nobody can tell
    return { kind: soon ? "bad" : "warn", title: soon ? "Memory is running out." : "Memory grows.", text: `${pace}${when}`, heap: true };
  }

  function disabled(process) {
    if (!process.is_alive || !process.interpreter || process.interpreter.gc_enabled) return null;
    return { kind: "warn", title: "Automatic collection is off.", text: "gc.disable() was called: cycles stay until somebody calls gc.collect()." };
  }

  function busy(process) {
    const share = process.is_alive && process.lately ? process.lately.share_in_gc : null;
    if (!(share > 0.05)) return null;
    return { kind: share > 0.1 ? "bad" : "warn", title: "Much time goes into collections.", text: `${g.percent(share)} of the last ${g.shortSpan(process.lately.window_ms)}.`, heap: true };
  }

  function uncollectable(process) {
    const found = process.generations.reduce((sum, each) => sum + each.uncollectable, 0);
    return found ? { kind: "warn", title: "Objects that cannot be freed.", text: `${g.count(found)} are in gc.garbage.` } : null;
  }

  g.showVerdict = (node, process, live) => {
    const found = findings(process, live);
    const nothing = { kind: "ok", title: "Nothing stands out.", text: `${g.percent(process.lately?.share_in_gc)} of the last minute in collections, memory ${g.known(process.growth_bytes_per_h) ? `changes by ${g.growth(process.growth_bytes_per_h)}` : "known for less than a minute"}.` };
    const all = found.length ? found : [nothing];
    const mark = JSON.stringify(all);
    if (node.dataset.mark === mark) return;
    node.dataset.mark = mark;
    const onHeap = Boolean(g.page?.view?.heap);
    g.fill(node, all.map((each) => h("p", { class: `finding ${each.kind}` }, h("b", {}, each.title), " ", each.text, each.heap && !onHeap ? [" ", g.link(`/process/${process.id}/heap`, {}, "What is on the heap?")] : null)));
  };

  g.showPending = (node, interpreter) => {
    if (!interpreter) {
      g.fill(node, h("p", { class: "none" }, "The monitor has not reported yet."));
      return;
    }
    const { thresholds, pending } = interpreter;
    if (node.children.length !== thresholds.length + 1) {
      g.fill(node, thresholds.map((_, at) => h("div", { class: "pending-row" }, h("span", {}, `Generation ${at}`), h("span", { class: `meter gen${at}` }, h("span", {})), h("span", { class: "pending-value" }))), h("p", { class: "caption" }));
    }
    thresholds.forEach((most, at) => {
      const [, meter, value] = node.children[at].children;
      meter.firstChild.style.width = `${most > 0 ? Math.min(100, (pending[at] / most) * 100) : 0}%`;
      g.write(value, most > 0 ? `${g.count(pending[at])} of ${g.count(most)}` : "off");
    });
    g.write(node.lastChild, `Looked at ${g.pause(interpreter.age_ms * 1e6)} ago, every ${g.pause(interpreter.interval_ms * 1e6)}. Automatic collection is ${interpreter.gc_enabled ? "on" : "off"}.`);
  };

  g.showFacts = (node, process) => {
    const memory = process.memory || {};
    const explicit = process.generations.reduce((sum, each) => sum + each.explicit_collections, 0);
    const freed = process.generations.reduce((sum, each) => sum + each.collected, 0);
    const own = process.overhead_ns.recorder + process.overhead_ns.monitor;
    const recorded = process.seen_unix_ms - process.recorded_since_unix_ms;
    const dropped = Object.entries(process.dropped).filter(([, count]) => count);
    const rows = [
      ["Recorded since", g.day(process.recorded_since_unix_ms)],
      ["Recorder", `${process.recorder}, clock ${process.duration_clock}, collector ${process.gc_mode}`],
      ["Collections", `${g.count(process.collections)}, of which gc.collect() ${g.count(explicit)}`],
      ["Objects freed", g.count(freed)],
      ["PSS, swap, virtual", [memory.pss_bytes, memory.swap_bytes, memory.vms_bytes].map(g.bytes).join(", ")],
      ["gc_otel itself", `${g.pause(own)} in ${g.shortSpan(recorded)} (${g.percent(recorded > 0 ? own / 1e6 / recorded : null)})`],
      ["Not in the record", dropped.length ? dropped.map(([reason, count]) => `${reason} ${g.count(count)}`).join(", ") : "nothing"],
      ["Faults of gc_otel", process.faults.length ? process.faults.map((each) => `${each.text} (${each.count})`).join("; ") : "none"],
      ["Parent, instance", `${process.parent_pid}, ${process.instance_id || g.UNKNOWN}`],
    ];
    if (node.children.length !== rows.length) g.fill(node, rows.map(([name]) => h("div", {}, h("dt", {}, name), h("dd", {}))));
    rows.forEach(([, value], at) => g.write(node.children[at].lastChild, value));
  };
})(globalThis.gcotel);
