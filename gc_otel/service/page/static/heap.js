"use strict";
/* The heap of one process: what is on it, what grew, which cycles, and who holds what. */
(function (g) {
  const { h } = g;
  const LOOK_MS = 400;
  const IDLE_MS = 3000;

  const PHASES = { waiting: "waiting for the process", taken: "taken" };
  const WORDS = { census: "Census", cycles: "Garbage cycles", why: "Holders", graph: "Graph" };
  const IN = /^\w+ in /;
  const SHOWN = { ways: "All of them, as merged ways", backrefs: "Single objects, and what holds them", refs: "Single objects, and what they hold" };
  const estimated = (row, value) => `${row.estimated ? "~" : ""}${value}`;

  class Heap {
    constructor(process) {
      Object.assign(this, { process, base: `${process.base}/heap`, answers: new Map(), requests: [], verbs: [], parts: new Map() });
      const query = new URLSearchParams(location.search);
      this.chosen = { census: query.get("census"), against: query.get("against"), cycles: query.get("cycles"), type: query.get("type"), show: query.get("show") };
      this.ask = h("div", { class: "asks" });
      this.running = h("div", { class: "running", role: "status", "aria-live": "polite" });
      this.census = h("section", { class: "card" });
      this.cycles = h("section", { class: "card" });
      this.why = h("section", { class: "card", hidden: true });
      this.node = h("div", { class: "view-body" }, h("div", { class: "bar" }, this.ask, this.running), this.why, this.census, this.cycles);
    }

    async start() {
      await this.look();
      this.stop = g.poll((signal) => this.process.page.contained(() => this.look(signal)), LOOK_MS);
    }

    update(process) {
      this.alive = process.is_alive && !g.frozen;
      this.always = { census: process.heap.census?.taken_unix_ms ? process.heap.census : null, cycles: process.heap.cycles?.signatures.length ? process.heap.cycles : null };
      if (this.verbs.length) this.showAsk();
      this.showParts();
    }

    /* Often while something is asked, and now and then to see what others asked. */
    async look(signal) {
      const now = Date.now();
      const busy = this.requests.some((each) => each.state === "waiting" || each.state === "running");
      if (!busy && now - (this.looked || 0) < IDLE_MS) return;
      this.looked = now;
      const { requests, verbs } = await g.get(this.base, signal);
      this.requests = requests;
      this.verbs = verbs;
      await this.fetchAnswers(signal);
      this.showAsk();
      this.showRunning();
      this.showParts();
    }

    async fetchAnswers(signal) {
      const wanted = new Set();
      for (const verb of ["census", "cycles"]) {
        const done = this.done(verb);
        const pick = this.pick(verb);
        if (pick) wanted.add(pick.id);
        if (verb === "census" && done.length > 1) {
          const against = this.against();
          if (against) wanted.add(against.id);
        }
      }
      const why = this.whyRequest();
      if (why) wanted.add(why.id);
      for (const id of wanted) {
        if (!this.answers.has(id)) this.answers.set(id, (await g.get(`/api/v1/answers/${id}`, signal)).answer);
      }
      for (const id of this.answers.keys()) if (!wanted.has(id)) this.answers.delete(id);
    }

    done(verb) {
      return this.requests.filter((each) => each.verb === verb && each.state === "done");
    }

    pick(verb) {
      const done = this.done(verb);
      return done.find((each) => each.id === this.chosen[verb]) || done[0] || null;
    }

    against() {
      const done = this.done("census");
      if (this.chosen.against === "none") return null;
      const now = this.pick("census");
      const earlier = done.filter((each) => each.asked_unix_ms < now.asked_unix_ms);
      return earlier.find((each) => each.id === this.chosen.against) || earlier[0] || null;
    }

    /* What is asked for the chosen type: merged ways, or single objects in one direction. */
    whyAsk() {
      const { type, show } = this.chosen;
      return show in SHOWN && show !== "ways" ? ["graph", { type, direction: show }] : ["why", { type }];
    }

    whyRequest() {
      if (!this.chosen.type) return null;
      const [verb, wanted] = this.whyAsk();
      return this.done(verb).find((each) => Object.entries(wanted).every(([name, value]) => each.arguments[name] === value)) || null;
    }

    /* Asks the process where it has not answered that yet. */
    askWhy(again) {
      const [verb, wanted] = this.whyAsk();
      if (IN.test(this.chosen.type)) return;
      if (this.alive && this.verbs.includes(verb) && (again || !this.whyRequest())) this.send(verb, wanted);
      else this.lookNow();
    }

    async send(verb, body) {
      await this.process.page.contained(async () => {
        const taken = await g.post(`${this.base}/${verb}`, body || {});
        if (verb in this.chosen) this.chosen[verb] = null; // show the newest
        this.requests = [taken, ...this.requests.filter((each) => each.id !== taken.id)];
        this.showRunning();
        this.lookNow();
      });
    }

    remember() {
      const query = new URLSearchParams();
      for (const [name, value] of Object.entries(this.chosen)) if (value) query.set(name, value);
      this.process.page.remember(query);
    }

    choose(name, value) {
      this.chosen[name] = value;
      this.remember();
      this.lookNow();
    }

    /* Without waiting for the next turn; in an exported file there is none. */
    lookNow() {
      this.looked = 0;
      this.process.page.contained(() => this.look());
    }

    /* A click on a type: who holds it. */
    hold(name) {
      // Plain containers are named by their owner: of an object, whose holders are theirs, or in something with a name.
      const type = name.replace(/^\w+ of /, "");
      this.chosen.type = type;
      this.remember();
      this.askWhy(false);
      this.showParts();
      this.why.scrollIntoView({ block: "nearest" });
    }

    showAsk() {
      const mark = `${this.alive} ${this.verbs}`;
      if (this.asked === mark) return;
      this.asked = mark;
      const button = (verb, title, main) => this.verbs.includes(verb) && h("button", { class: main ? "main" : "quiet", type: "button", onclick: () => this.send(verb) }, title);
      g.fill(this.ask, this.alive ? [button("census", "Take a census", true), button("cycles", "Look for garbage cycles")] : h("span", { class: "muted" }, g.frozen ? "What the process had answered when this was exported." : "The process has ended: what it had answered is here, and nothing more can be asked."));
    }

    showRunning() {
      const open = this.requests.filter((each) => each.state === "waiting" || each.state === "running");
      const failed = this.requests.find((each) => each.state === "failed");
      const recent = failed && this.requests.indexOf(failed) < 1 ? failed : null;
      g.fill(
        this.running,
        open.map((each) => {
          const { phase, done, total, elapsed_s: elapsed } = each.progress || { phase: "waiting" };
          return h("span", { class: "job" }, h("span", { class: "spinner", "aria-hidden": "true" }), `${WORDS[each.verb] || each.verb}${each.arguments.type ? ` of ${each.arguments.type}` : ""}: ${PHASES[phase] || phase}${g.known(done) && total ? `, ${g.percent(done / total)}` : ""}${elapsed > 1 ? `, ${Math.round(elapsed)} s` : ""}`);
        }),
        recent && h("span", { class: "job failed" }, h("b", {}, recent.error), " ", recent.remedy),
      );
    }

    showParts() {
      this.part("census", this.census, () => this.censusPart());
      this.part("cycles", this.cycles, () => this.cyclesPart());
      this.part("why", this.why, () => this.whyPart());
      this.why.hidden = !this.chosen.type;
    }

    /* Builds a part again only where what it shows is another. */
    part(name, node, build) {
      const made = build();
      const before = this.parts.get(name);
      if (before && before.mark === made.mark) return;
      before?.destroy?.();
      this.parts.set(name, made);
      g.fill(node, made.content());
    }

    selection(verb, value, change, none) {
      const done = this.done(verb);
      const select = h("select", { "aria-label": none ? "Compare with" : `Which ${WORDS[verb]}`, onchange: (event) => change(event.target.value) }, none && h("option", { value: "none" }, none), done.map((each) => h("option", { value: each.id, selected: each.id === value }, `${g.clock(each.asked_unix_ms)}${each === done[0] ? " (latest)" : ""}`)));
      return select;
    }

    censusPart() {
      const now = this.pick("census");
      const answer = now && this.answers.get(now.id);
      const before = now && this.against();
      const old = before && this.answers.get(before.id);
      const always = this.always?.census;
      const made = { mark: `${this.alive} ${now?.id} ${Boolean(answer)} ${before?.id} ${Boolean(old)} ${this.done("census").length} ${answer ? "" : always?.taken_unix_ms}` };
      made.content = () => {
        const head = h("header", {}, h("h2", {}, "What is on the heap", g.hint("census")));
        if (!answer && !always) return [head, h("p", { class: "none" }, this.alive ? "No census yet. It is taken in a copy of the process, which itself stops for some 5 ms for each million objects. Where there is no room for a copy it counts itself, and stops for some 25 ms for each million." : "No census was taken.")];
        const rows = answer ? difference(answer, old) : alwaysRows(always);
        const total = answer || always;
        const pickers = answer && h("div", { class: "pickers" }, "Taken at ", this.selection("census", now.id, (id) => this.choose("census", id)), " compared with ", this.selection("census", before?.id, (id) => this.choose("against", id), "nothing"));
        const grew = answer ? Boolean(old) : rows.some((row) => g.known(row.grown_bytes));
        const table = censusTable(grew, (name) => this.hold(name));
        table.set(rows);
        const biggest = [...rows].sort((a, b) => b.size_bytes - a.size_bytes);
        const map = g.treemap(biggest, (name) => this.hold(name), "Types by the memory that they take");
        made.destroy = () => map.stop();
        if (pickers) head.append(pickers);
        return [head, summary(total, answer ? null : always), map, table.node, h("p", { class: "caption" }, footnote(total, old, answer))];
      };
      return made;
    }

    cyclesPart() {
      const now = this.pick("cycles");
      const answer = now && this.answers.get(now.id);
      const always = this.always?.cycles;
      const made = { mark: `${this.alive} ${this.verbs} ${now?.id} ${Boolean(answer)} ${this.done("cycles").length} ${JSON.stringify(always?.signatures ?? null)}` };
      made.content = () => {
        const parts = [h("header", {}, h("h2", {}, "Garbage cycles", g.hint("cycles")), answer && h("div", { class: "pickers" }, "Looked at ", this.selection("cycles", now.id, (id) => this.choose("cycles", id))))];
        if (answer) parts.push(exactCycles(answer));
        if (always) parts.push(sampledCycles(always));
        if (!answer && !always) parts.push(h("p", { class: "none" }, this.verbs.includes("cycles") && this.alive ? "Not looked at yet. The exact count is made in a copy of the process: nothing is collected, and the process goes on." : "Nothing is known of cycles."));
        return parts;
      };
      return made;
    }

    whyPart() {
      const type = this.chosen.type;
      const request = this.whyRequest();
      const answer = request && this.answers.get(request.id);
      const [verb] = this.whyAsk();
      const made = { mark: `${type} ${this.chosen.show} ${request?.id} ${Boolean(answer)} ${this.alive}` };
      made.content = () => {
        const show = h("select", { "aria-label": "What to show", onchange: (event) => (this.choose("show", event.target.value), this.askWhy(false), this.showParts()) }, Object.entries(SHOWN).map(([value, title]) => h("option", { value, selected: value === (this.chosen.show || "ways") }, title)));
        const again = this.alive && this.verbs.includes(verb) && h("button", { class: "quiet", type: "button", onclick: () => this.askWhy(true) }, answer ? "Look again" : "Look now");
        const close = h("button", { class: "quiet", type: "button", onclick: () => (this.choose("type", null), this.showParts()) }, "Close");
        const head = h("header", {}, h("h2", {}, "Who holds ", h("code", {}, type || ""), g.hint("holders")), h("div", { class: "pickers" }, show, " ", again, " ", close));
        if (IN.test(type || "")) return [h("header", {}, h("h2", {}, h("code", {}, type)), close), h("p", {}, "This is a plain container, and its name says where it is: ", h("code", {}, type.replace(IN, "")), ".")];
        if (!answer) return [head, h("p", { class: "none" }, this.alive ? "The process is asked; it searches from its modules, frames and tasks." : "This was not asked.")];
        const holders = verb === "graph" ? new g.Objects(answer) : new g.Holders(answer);
        made.destroy = () => holders.destroy();
        return [head, holders.node];
      };
      return made;
    }

    restyle() {
      for (const each of this.parts.values()) each.mark = "";
      this.showParts();
    }

    close() {
      this.stop?.();
      for (const each of this.parts.values()) each.destroy?.();
    }
  }

  /* Rows of the later census, with what they grew by since the earlier one. */
  function difference(now, before) {
    if (!before) return now.types;
    const old = new Map(before.types.map((row) => [row.name, row]));
    const hours = (now.monotonic_ns - before.monotonic_ns) / 3.6e12;
    return now.types.map((row) => {
      const was = old.get(row.name);
      const bytes = row.size_bytes - (was?.size_bytes || 0);
      return { ...row, grown_objects: row.objects - (was?.objects || 0), grown_bytes: bytes, grown_bytes_per_h: hours > 0 ? bytes / hours : null, is_new: !was };
    });
  }

  function alwaysRows(census) {
    const hours = (census.taken_unix_ms - census.previous_taken_unix_ms) / 3.6e6;
    return census.types.map((row) => {
      const bytes = g.known(row.previous_size_bytes) ? row.size_bytes - row.previous_size_bytes : null;
      return { ...row, grown_objects: g.known(row.previous_objects) ? row.objects - row.previous_objects : null, grown_bytes: bytes, grown_bytes_per_h: bytes !== null && hours > 0 ? bytes / hours : null };
    });
  }

  function censusTable(grew, pick) {
    const number = (id, title, value, format) => ({ id, title, number: true, value, cell: g.text(format) });
    const columns = [
      {
        id: "type",
        title: "Type",
        heading: true,
        value: (row) => row.name,
        cell: (row, td) => {
          if (td.firstChild) return;
          g.fill(td, h("button", { class: "type mono", type: "button", title: "Who holds it?", onclick: () => pick(row.name) }, row.name), row.is_new ? h("span", { class: "chip" }, "new") : null);
        },
      },
      number("objects", "Objects", (row) => row.objects, (row) => estimated(row, g.count(row.objects))),
      number("bytes", "Memory", (row) => row.size_bytes, (row) => estimated(row, g.bytes(row.size_bytes))),
    ];
    if (grew) {
      columns.push(number("grown", "More objects", (row) => row.grown_objects, (row) => (g.known(row.grown_objects) ? g.signed(row.grown_objects, g.count) : g.UNKNOWN)));
      columns.push(number("grownBytes", "More memory", (row) => row.grown_bytes, (row) => (g.known(row.grown_bytes) ? g.signed(row.grown_bytes, g.bytes) : g.UNKNOWN)));
      columns.push(number("perHour", "An hour", (row) => row.grown_bytes_per_h, (row) => g.growth(row.grown_bytes_per_h)));
    }
    return new g.Table({ columns, key: (row) => row.name, label: "Types on the heap", sort: [grew ? "grownBytes" : "bytes", false], most: 15 });
  }

  function summary(total, always) {
    const rest = total.unattributed_bytes;
    const parts = [["Types", total.size_bytes, "known"], ["Not explained by types", rest, "rest"]].filter(([, value]) => g.known(value));
    const sum = parts.reduce((all, [, value]) => all + value, 0);
    return h(
      "div",
      { class: "heap-sum" },
      h("div", { class: "heap-bar", role: "img", "aria-label": parts.map(([name, value]) => `${name} ${g.bytes(value)}`).join(", ") }, parts.map(([, value, kind]) => h("span", { class: kind, style: { flex: `${sum ? value / sum : 0} 0 0` } }))),
      h("p", { class: "small muted" }, h("b", {}, `${g.count(total.objects)} objects, ${g.bytes(total.size_bytes)}`), g.known(rest) ? [` explained by types; ${g.bytes(rest)} not `, g.hint("unattributed")] : null, always ? ` · counted by the monitor at ${g.clock(always.taken_unix_ms)}` : null),
    );
  }

  function footnote(total, old, answer) {
    const parts = [];
    if (g.known(total.child_cpu_ns)) parts.push(`Counted in a copy, in ${g.pause(total.duration_ns)}; the process stood still for ${g.pause(total.pause_ns)}.`);
    else if (g.known(total.duration_ns)) parts.push(`Took ${g.pause(total.duration_ns)} (${total.walker} walk).`);
    if (total.no_child_because) parts.push(`Counted in the process itself: ${total.no_child_because}.`);
    if (total.sampled_every > 1) parts.push(`~ marks an estimate: of the holders of text and numbers, one in ${total.sampled_every} was looked into.`);
    const left = total.types_left_out;
    if (left?.types) parts.push(`${g.plural(left.types, "smaller type")} left out, ${g.bytes(left.size_bytes)}.`);
    if (answer && old) parts.push(`Compared over ${g.shortSpan((answer.monotonic_ns - old.monotonic_ns) / 1e6)}.`);
    return parts.join(" ");
  }

  function cyclesTable(rows, label, many) {
    const table = new g.Table({
      label,
      key: (row) => row.name,
      sort: ["cycles", false],
      most: 15,
      empty: "No garbage cycle.",
      columns: [
        { id: "name", title: "Cycle", heading: true, value: (row) => row.name, cell: (row, td) => td.firstChild || g.fill(td, h("span", { class: "mono" }, row.name)) },
        { id: "cycles", title: many, number: true, value: (row) => row.cycles, cell: g.text((row) => (row.is_estimate ? "~" : "") + g.count(row.cycles)) },
        { id: "objects", title: "Objects", number: true, value: (row) => row.objects, cell: g.text((row) => g.count(row.objects)) },
        { id: "bytes", title: "Memory", number: true, value: (row) => row.size_bytes, cell: g.text((row) => g.bytes(row.size_bytes)) },
      ],
    });
    table.set(rows);
    return table.node;
  }

  function exactCycles(answer) {
    const rows = answer.groups.map((each) => ({ ...each, name: each.signature }));
    return [cyclesTable(rows, "Garbage cycles at that moment", "Cycles"), h("p", { class: "caption" }, `${g.count(answer.garbage_objects)} of ${g.count(answer.tracked_objects)} tracked objects were garbage, ${g.bytes(answer.garbage_bytes)}. Took ${g.pause(answer.duration_ns)}; nothing was collected.`)];
  }

  function sampledCycles(always) {
    const rows = always.signatures.map((each) => ({ name: each.name, cycles: each.cycles, objects: each.sampled_objects, size_bytes: null, is_estimate: true }));
    return [h("h3", { class: "sub-head" }, "Since recording began, estimated from sampled collections"), cyclesTable(rows, "Garbage cycles since recording began", "Cycles")];
  }

  g.Heap = Heap;
})(globalThis.gcotel);
