"use strict";
/* A table that sorts by a click on a heading, and whose rows stay the same elements while their numbers change. */
(function (g) {
  const { h } = g;

  /* What is not known stands last, whichever way the rest is sorted. */
  function compare(a, b, sign) {
    const [x, y] = [a ?? null, b ?? null];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
  }

  /* columns: [{id, title, word, number, value(row), cell(row, td)}]; `cell` fills the td, and is called again for new numbers. */
  class Table {
    constructor({ columns, key, label, sort, empty, most, rowClass, cards }) {
      Object.assign(this, { columns, key, most: most || Infinity, rowClass });
      this.sort = sort;
      this.rows = [];
      this.elements = new Map();
      this.body = h("tbody", {});
      this.heads = columns.map((column) => this.head(column));
      this.more = h("button", { class: "quiet more", type: "button", hidden: true, onclick: () => this.showAll() }, "");
      this.none = h("p", { class: "none", hidden: true }, empty || "Nothing to show.");
      this.node = h(
        "div",
        { class: `table-box ${cards ? "cards" : ""}` },
        h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, this.heads)), this.body),
        this.none,
        this.more,
      );
      this.mark();
    }

    head(column) {
      const button = h("button", { type: "button", onclick: () => this.sortBy(column.id) }, column.title);
      return h("th", { scope: "col", class: column.number ? "number" : null }, column.value ? button : column.title, column.word && g.hint(column.word));
    }

    sortBy(id) {
      const [before, up] = this.sort;
      const column = this.columns.find((each) => each.id === id);
      this.sort = [id, before === id ? !up : !column.number];
      this.mark();
      this.render();
      if (this.onsort) this.onsort(this.sort);
    }

    mark() {
      this.columns.forEach((column, at) => {
        const is = column.id === this.sort[0];
        if (is) this.heads[at].setAttribute("aria-sort", this.sort[1] ? "ascending" : "descending");
        else this.heads[at].removeAttribute("aria-sort");
      });
    }

    showAll() {
      this.most = Infinity;
      this.render();
    }

    set(rows) {
      this.rows = rows;
      this.render();
    }

    render() {
      const [id, up] = this.sort;
      const column = this.columns.find((each) => each.id === id);
      const sorted = [...this.rows].sort(
        (a, b) => compare(column.value(a), column.value(b), up ? 1 : -1) || compare(this.key(a), this.key(b), 1),
      );
      const shown = sorted.slice(0, this.most);
      const keys = new Set(shown.map(this.key));
      for (const [key, element] of this.elements) {
        if (!keys.has(key)) {
          element.remove();
          this.elements.delete(key);
        }
      }
      shown.forEach((row, at) => this.put(row, at));
      this.none.hidden = shown.length > 0;
      this.more.hidden = sorted.length <= shown.length;
      g.write(this.more, `Show ${g.count(sorted.length - shown.length)} more`);
    }

    put(row, at) {
      const key = this.key(row);
      let element = this.elements.get(key);
      if (!element) {
        element = h("tr", {}, this.columns.map((column) => h(column.heading ? "th" : "td", { scope: column.heading ? "row" : null, class: column.number ? "number" : null, "data-title": column.title })));
        this.elements.set(key, element);
      }
      element.className = this.rowClass ? this.rowClass(row) : "";
      this.columns.forEach((column, index) => column.cell(row, element.children[index]));
      if (this.body.children[at] !== element) this.body.insertBefore(element, this.body.children[at] || null);
    }
  }

  g.Table = Table;
  g.text = (format) => (row, td) => g.write(td, format(row));
})(globalThis.gcotel);
