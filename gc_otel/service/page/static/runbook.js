"use strict";
/* A runbook: what an alert of this name means, and what to do. */
(function (g) {
  const { h } = g;

  class Runbook {
    constructor(page, name) {
      this.page = page;
      this.name = name;
      this.text = h("div", { class: "prose" });
      this.node = h("article", { class: "view" }, h("section", { class: "card" }, this.text));
    }

    async start() {
      const { text } = await g.get(`/api/v1/runbooks/${encodeURIComponent(this.name)}`);
      g.fill(this.text, g.markdown(text));
    }

    exports() {
      return null;
    }

    title() {
      return this.name;
    }

    restyle() {}

    close() {}
  }

  g.Runbook = Runbook;
})(globalThis.gcotel);
