"use strict";
/* Elements from data.  Text goes in as text nodes and attributes by their names: nothing here, or anywhere in the page,
   makes markup out of a string, so the name of a type or a service is never anything but a name. */
globalThis.gcotel = {};
(function (g) {
  const SVG = "http://www.w3.org/2000/svg";

  function set(node, name, value) {
    if (value === null || value === undefined || value === false) return;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else node.setAttribute(name, value === true ? "" : String(value));
  }

  function add(node, children) {
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false) continue;
      node.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
    return node;
  }

  function make(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) set(node, name, value);
    return add(node, children);
  }

  g.h = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);
  g.s = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

  /* Replaces what a node holds. */
  g.fill = (node, ...children) => {
    node.replaceChildren();
    return add(node, children);
  };

  /* Changes a text only where it is another one: a reader's selection, and a screen reader's place, stay. */
  g.write = (node, text) => {
    if (node.textContent !== text) node.textContent = text;
    return node;
  };

  g.link = (path, attributes, ...children) => g.h("a", { href: path, ...attributes }, ...children);

  g.color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
})(globalThis.gcotel);
