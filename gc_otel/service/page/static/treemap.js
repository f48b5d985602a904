"use strict";
/* A treemap: areas are bytes.  Squarified, so that even a small type is a box and not a line. */
(function (g) {
  const { h, s } = g;
  const MOST = 36;

  function worst(row, sum, side) {
    const high = Math.max(...row);
    const low = Math.min(...row);
    return Math.max((side * side * high) / (sum * sum), (sum * sum) / (side * side * low));
  }

  /* Boxes [x, y, width, height] for areas that add up to the whole, the largest first. */
  function squarified(areas, x, y, width, height) {
    const boxes = [];
    let rest = areas;
    while (rest.length) {
      const side = Math.min(width, height);
      let row = [rest[0]];
      let sum = rest[0];
      for (const area of rest.slice(1)) {
        if (worst([...row, area], sum + area, side) > worst(row, sum, side)) break;
        row = [...row, area];
        sum += area;
      }
      const thick = sum / side;
      let at = 0;
      for (const area of row) {
        const long = area / thick;
        boxes.push(width >= height ? [x, y + at, thick, long] : [x + at, y, long, thick]);
        at += long;
      }
      if (width >= height) [x, width] = [x + thick, width - thick];
      else [y, height] = [y + thick, height - thick];
      rest = rest.slice(row.length);
    }
    return boxes;
  }

  function fitted(text, width, letter) {
    const most = Math.floor((width - 12) / letter);
    if (text.length <= most) return text;
    return most < 4 ? "" : `${text.slice(0, most - 1)}…`;
  }

  /* rows: [{name, size_bytes, objects}]; `pick(name)` is called for a click. */
  g.treemap = (rows, pick, label) => {
    const box = h("div", { class: "treemap" });
    const draw = () => {
      const [width, height] = [box.clientWidth, Math.max(220, Math.min(360, box.clientWidth * 0.42))];
      if (!width) return;
      const shown = rows.filter((row) => row.size_bytes > 0).slice(0, MOST);
      const total = shown.reduce((sum, row) => sum + row.size_bytes, 0);
      if (!total) return;
      const boxes = squarified(shown.map((row) => (row.size_bytes / total) * width * height), 0, 0, width, height);
      const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
      shown.forEach((row, at) => svg.append(cell(row, boxes[at], row.size_bytes / total, pick)));
      g.fill(box, svg);
    };
    const observer = new ResizeObserver(draw);
    observer.observe(box);
    box.stop = () => observer.disconnect();
    return box;
  };

  function cell(row, [x, y, width, height], share, pick) {
    const words = `${row.name}, ${g.bytes(row.size_bytes)}, ${g.plural(row.objects, "object")}`;
    const act = () => pick(row.name);
    const node = s(
      "g",
      { class: "cell", tabindex: 0, role: "button", "aria-label": words, onclick: act, onkeydown: (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), act()) },
      s("rect", { x: x + 1, y: y + 1, width: Math.max(0, width - 2), height: Math.max(0, height - 2), rx: 4, style: { "--share": `${Math.round(14 + 60 * Math.sqrt(share))}%` } }),
      s("title", {}, words),
    );
    if (width > 44 && height > 22) node.append(s("text", { x: x + 9, y: y + 19, class: "cell-name" }, fitted(row.name, width, 6.9)));
    if (width > 60 && height > 40) node.append(s("text", { x: x + 9, y: y + 35, class: "cell-size" }, g.bytes(row.size_bytes)));
    return node;
  }
})(globalThis.gcotel);
