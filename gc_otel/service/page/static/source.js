"use strict";
/* Where the data comes from: the API, or, in an exported file, the answers that were frozen into it. */
(function (g) {
  const element = document.getElementById("frozen");
  const frozen = element ? JSON.parse(element.textContent) : null;

  class Failed extends Error {
    constructor(status, message, remedy) {
      super(message);
      this.status = status;
      this.remedy = remedy || "";
    }
  }

  /* Nobody answered: told apart from a fault of this page's own, which is a TypeError too. */
  class Lost extends Error {}

  async function asked(path, options) {
    try {
      return await fetch(path, options);
    } catch (error) {
      throw error instanceof TypeError ? new Lost(error.message) : error;
    }
  }

  async function answerOf(response) {
    let body = null;
    try {
      body = await response.json();
    } catch {
      /* an answer that is not ours: the status says enough */
    }
    if (response.ok && body !== null) return body;
    throw new Failed(response.status, (body && body.error) || `HTTP ${response.status}`, body && body.remedy);
  }

  g.frozen = frozen;
  g.Failed = Failed;
  g.Lost = Lost;

  g.get = async (path, signal) => {
    if (frozen) {
      const found = frozen.answers[path.split("?")[0]];
      if (found === undefined) throw new Failed(404, "This is not part of the exported file.");
      return found;
    }
    return answerOf(await asked(path, { signal, headers: { Accept: "application/json" } }));
  };

  g.post = async (path, body) =>
    answerOf(await asked(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));

  /* Calls `tick` again and again, `everyMs` apart, never twice at a time, and not while nobody looks. Returns what ends it. */
  g.poll = (tick, everyMs) => {
    if (frozen) return () => {};
    let timer = 0;
    let stopped = false;
    const control = new AbortController();
    const turn = async () => {
      timer = 0;
      if (!document.hidden) await tick(control.signal);
      if (!stopped && !document.hidden) timer = setTimeout(turn, everyMs);
    };
    const wake = () => {
      if (!document.hidden && !timer && !stopped) timer = setTimeout(turn, 0);
    };
    document.addEventListener("visibilitychange", wake);
    timer = setTimeout(turn, everyMs);
    return () => {
      stopped = true;
      clearTimeout(timer);
      control.abort();
      document.removeEventListener("visibilitychange", wake);
    };
  };
})(globalThis.gcotel);
