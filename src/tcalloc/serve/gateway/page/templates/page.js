"use strict";
// Asks for the figures every few seconds, and puts in what has changed. A key stays in this tab (sessionStorage).
(() => {
  const EVERY = 5000, NAME = "tcalloc-gateway-key";
  const part = (id) => document.getElementById(id);
  const figures = part("figures"), state = part("state"), ask = part("ask"), input = part("key"), forget = part("forget");
  let key = "", busy = false, seen = "";
  try { key = sessionStorage.getItem(NAME) || ""; } catch { /* storage is switched off: the key is typed again */ }

  function remember(value) {
    key = value;
    try { value ? sessionStorage.setItem(NAME, value) : sessionStorage.removeItem(NAME); } catch { /* as above */ }
  }

  function say(text, trouble) {
    if (state.textContent !== text) state.textContent = text;
    state.classList.toggle("bad", Boolean(trouble));
    figures.classList.toggle("old", Boolean(trouble));
  }

  function wanted(text) {
    figures.replaceChildren();
    ask.hidden = false;
    forget.hidden = true;
    say(text, Boolean(key));
    remember("");
    input.focus();
  }

  // Only sections that differ are replaced, so that a table stays where it was scrolled to.
  function show(text) {
    const made = new DOMParser().parseFromString(text, "text/html").body;
    const fresh = [...made.children];
    const same = figures.children.length === fresh.length && fresh.every((one, i) => figures.children[i].id === one.id);
    if (!same) return figures.replaceChildren(...fresh);
    fresh.forEach((one, i) => {
      const old = figures.children[i];
      if (old.isEqualNode(one)) return;
      const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
      const open = [...old.querySelectorAll("details")].map((it) => it.open);
      const places = [...old.querySelectorAll(".scroll")].map((it) => it.scrollLeft);
      one.querySelectorAll("details").forEach((it, j) => { it.open = Boolean(open[j]); });
      old.replaceWith(one);
      one.querySelectorAll(".scroll").forEach((it, j) => { it.scrollLeft = places[j] || 0; });
      if (focused) part(focused)?.focus({ preventScroll: true });
    });
  }

  async function load() {
    if (busy) return;
    busy = true;
    try {
      const headers = key ? { Authorization: `Bearer ${key}` } : {};
      const reply = await fetch("status.html", {
        headers, cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(30000),
      });
      const text = await reply.text();
      if (reply.status === 401) {
        wanted(key ? "The gateway does not know this key." : "This gateway asks for a key.");
      } else if (!reply.ok) {
        let said = text;
        try { said = JSON.parse(text).error.message; } catch { /* it is a sentence already */ }
        say(`No figures: ${said}`, true);
      } else {
        ask.hidden = true;
        forget.hidden = !key;
        show(text);
        seen = new Date().toLocaleTimeString();
        say("Live: renewed every 5 seconds.", false);
      }
    } catch (error) {
      if (error instanceof TypeError && key && /[^\x20-\x7e]/.test(key)) wanted("A key has no such characters.");
      else say(`The gateway does not answer.${seen ? ` These figures are of ${seen}.` : ""} It is asked again every 5 seconds.`, true);
    } finally {
      busy = false;
    }
  }

  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    remember(input.value.trim());
    input.value = "";
    load();
  });
  forget.addEventListener("click", () => { remember(""); load(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) load(); });
  setInterval(() => { if (!document.hidden && ask.hidden) load(); }, EVERY);
  load();
})();
