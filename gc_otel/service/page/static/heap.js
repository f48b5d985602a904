"use strict";
(function (g) {
  class Heap {
    constructor(process) { this.process = process; this.node = g.h("div", {}); }
    async start() {}
    update() {}
    restyle() {}
    close() {}
  }
  g.Heap = Heap;
})(globalThis.gcotel);
