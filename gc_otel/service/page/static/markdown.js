"use strict";
/* The little Markdown that the runbooks have: headings, paragraphs, lists, code, links, emphasis.  Elements, never markup. */
(function (g) {
  const { h } = g;

  function inline(text) {
    const parts = text.split(/(`[^`]+`|\[[^\]]+\]\([^)\s]+\)|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)/);
    return parts.map((part) => {
      if (/^`.+`$/.test(part)) return h("code", {}, part.slice(1, -1));
      if (/^\*\*.+\*\*$/.test(part)) return h("b", {}, part.slice(2, -2));
      if (/^\*.+\*$/.test(part)) return h("em", {}, part.slice(1, -1));
      const link = /^\[([^\]]+)\]\(([^)\s]+)\)$/.exec(part);
      if (!link) return part;
      const runbook = /^([A-Za-z]+)\.md$/.exec(link[2]);
      if (runbook) return g.link(`/runbook/${runbook[1]}`, {}, link[1]);
      return /^https:\/\//.test(link[2]) ? h("a", { href: link[2], rel: "noreferrer" }, link[1]) : link[1];
    });
  }

  function blocks(text) {
    const made = [];
    for (const line of text.split("\n")) {
      const last = made.at(-1);
      if (last?.kind === "code" && !last.done) {
        if (line.startsWith("```")) last.done = true;
        else last.lines.push(line);
      } else if (line.startsWith("```")) made.push({ kind: "code", lines: [] });
      else if (/^#{1,4} /.test(line)) made.push({ kind: "heading", level: line.indexOf(" "), text: line.replace(/^#+ /, "") });
      else if (/^(\d+\.|-) /.test(line)) {
        const kind = line.startsWith("-") ? "ul" : "ol";
        const item = line.replace(/^(\d+\.|-) /, "");
        if (last?.kind === kind) last.items.push(item);
        else made.push({ kind, items: [item] });
      } else if (!line.trim()) made.push({ kind: "gap" });
      else if (last?.kind === "text") last.text += ` ${line.trim()}`;
      else if (last?.items) last.items[last.items.length - 1] += ` ${line.trim()}`;
      else made.push({ kind: "text", text: line.trim() });
    }
    return made;
  }

  g.markdown = (text) =>
    blocks(text).map((block) => {
      if (block.kind === "heading") return h(`h${block.level}`, {}, inline(block.text));
      if (block.kind === "code") return h("pre", {}, h("code", {}, block.lines.join("\n")));
      if (block.items) return h(block.kind, {}, block.items.map((item) => h("li", {}, inline(item))));
      return block.kind === "text" ? h("p", {}, inline(block.text)) : null;
    });
})(globalThis.gcotel);
