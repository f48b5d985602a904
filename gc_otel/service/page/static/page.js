"use strict";
/* The frame around the views: header, addresses, theme, export, and what is said when something fails. */
(function (g) {
  const { h } = g;
  const THEMES = ["auto", "light", "dark"];

  class Page {
    constructor(root) {
      this.view = null;
      this.status = h("span", { class: "status", role: "status" });
      this.error = h("div", { class: "error", role: "alert", hidden: true });
      this.main = h("main", { id: "main", tabindex: "-1" });
      this.crumbs = h("nav", { class: "crumbs", "aria-label": "Where you are" });
      this.menu = h("details", { class: "menu" }, h("summary", {}, "Export"), h("div", { class: "menu-items" }));
      this.themeButton = h("button", { class: "quiet", type: "button", onclick: () => this.nextTheme() });
      root.append(
        h(
          "header",
          { class: "top" },
          g.link("/", { class: "brand", "aria-label": "gc_otel, fleet" }, logo(), h("b", {}, "gc_otel")),
          this.crumbs,
          h("div", { class: "top-right" }, this.status, g.frozen ? null : this.menu, this.themeButton),
        ),
        this.error,
        this.main,
        h("footer", { class: "foot" }, h("span", {}, g.frozen ? `Exported from gc_otel ${g.frozen.gc_otel}. Nothing in this file asks anybody for more.` : "Read from flight files: no process is asked for a number.")),
      );
      this.theme(this.stored() || "auto");
      document.addEventListener("click", (event) => this.followed(event));
      addEventListener("popstate", () => this.go(location.pathname));
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.restyled());
    }

    /* Links within the page change the view; everything else about them stays the browser's. */
    followed(event) {
      const link = event.target.closest?.("a[href]");
      if (!this.menu.contains(event.target)) this.menu.open = false;
      if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
      const path = link.getAttribute("href");
      if (!path.startsWith("/") || path.startsWith("//") || path.startsWith("/export/") || path.startsWith("/api/")) return;
      event.preventDefault();
      if (!g.frozen) history.pushState(null, "", path);
      this.go(path.split("?")[0]);
      scrollTo(0, 0);
      this.main.focus({ preventScroll: true });
    }

    remember(query) {
      if (g.frozen) return;
      const text = query.toString();
      history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
    }

    async go(path) {
      this.view?.close();
      g.closeHint();
      this.error.hidden = true;
      const [, kind, name, tab] = path.split("/").map(decodeURIComponent);
      const view = kind === "process" ? new g.Process(this, name, tab || "") : kind === "runbook" ? new g.Runbook(this, name) : new g.Fleet(this);
      this.view = view;
      g.fill(this.main, view.node);
      this.headline(path);
      await this.contained(() => view.start());
      document.documentElement.dataset.ready = path;
    }

    headline(path = location.pathname) {
      const view = this.view;
      document.title = `${view.title()} · gc_otel`;
      g.fill(this.crumbs, path === "/" ? h("span", { "aria-current": "page" }, "Fleet") : [g.link("/", {}, "Fleet"), h("span", { class: "sep", "aria-hidden": "true" }, "/"), h("span", { "aria-current": "page" }, view.title())]);
      const base = view.exports();
      this.menu.hidden = !base;
      const [stem, query] = (base || "").split("?");
      const tail = query ? `?${query}` : "";
      g.fill(
        this.menu.querySelector(".menu-items"),
        base && [
          h("a", { href: `${stem}.html${tail}`, download: true }, h("b", {}, "As one HTML file"), h("span", {}, "Opens anywhere, needs no server")),
          h("a", { href: `${stem}.json${tail}`, download: true }, h("b", {}, "As JSON"), h("span", {}, "The numbers behind this page")),
        ],
      );
    }

    alive(unixMs, words) {
      const text = g.frozen ? `frozen ${g.day(unixMs)}` : words || "live";
      g.write(this.status, text);
      this.status.className = `status ${g.frozen ? "frozen" : words ? "ended" : "live"}`;
    }

    /* Runs what may fail; says so at the top of the page, and takes it back when it works again. */
    async contained(act) {
      try {
        await act();
        this.error.hidden = true;
      } catch (error) {
        if (error.name === "AbortError") return;
        this.fail(error);
      }
    }

    fail(error) {
      const lost = error instanceof g.Lost;
      const title = lost ? "The exporter service does not answer" : error.message;
      const remedy = lost ? "It ends with the last recorded process. What you see is from before." : error.remedy;
      g.fill(this.error, h("b", {}, title), remedy ? h("span", {}, remedy) : null);
      this.error.hidden = false;
      g.write(this.status, "no connection");
      this.status.className = "status lost";
      if (!lost && !(error instanceof g.Failed)) throw error;
    }

    stored() {
      try {
        return localStorage.getItem("gc_otel-theme");
      } catch {
        return null; // a file on a disk, or a browser that keeps nothing
      }
    }

    theme(name) {
      this.themeName = THEMES.includes(name) ? name : "auto";
      document.documentElement.dataset.theme = this.themeName;
      g.write(this.themeButton, { auto: "Auto", light: "Light", dark: "Dark" }[this.themeName]);
      this.themeButton.setAttribute("aria-label", `Colours: ${this.themeName}. Change`);
    }

    nextTheme() {
      this.theme(THEMES[(THEMES.indexOf(this.themeName) + 1) % THEMES.length]);
      try {
        localStorage.setItem("gc_otel-theme", this.themeName);
      } catch {
        /* then it lasts as long as the page */
      }
      this.restyled();
    }

    restyled() {
      this.view?.restyle();
    }
  }

  function logo() {
    return g.s("svg", { viewBox: "0 0 32 32", width: 26, height: 26, "aria-hidden": "true" }, g.s("rect", { width: 32, height: 32, rx: 8, class: "logo-ground" }), g.s("path", { d: "M5 20h5l3-9 5 14 4-10 1.5 5H27", class: "logo-line" }));
  }

  g.start = () => {
    const page = new Page(document.getElementById("page"));
    g.page = page;
    return page.go(g.frozen ? g.frozen.location : location.pathname);
  };
  g.start();
})(globalThis.gcotel);
