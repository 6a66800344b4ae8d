// Comfort alone: every page reads and acts without it.
"use strict";
(() => {
  // How long ago, beside each time.
  const unit = (seconds) => {
    for (const [name, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      if (Math.abs(seconds) >= length) return [Math.round(seconds / length), name];
    }
    return [Math.round(seconds), "second"];
  };
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
  const tell = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = Date.parse(time.dateTime);
      if (Number.isNaN(at)) continue;
      time.title = words.format(...unit((at - Date.now()) / 1000)) + " · " + time.dateTime;
    }
  };
  tell();
  setInterval(tell, 30000);
  // A form is sent once.
  for (const form of document.querySelectorAll("form[method=post]")) {
    form.addEventListener("submit", () => {
      for (const button of form.querySelectorAll("button")) setTimeout(() => { button.disabled = true; }, 0);
    });
  }
  // Keys for the buttons that have one, off by a switch: a single letter may come from a voice, or a hand that slips.
  const keyed = [...document.querySelectorAll("button[data-key]")].filter((button) => button.dataset.key);
  const toggle = document.getElementById("keys");
  if (keyed.length && toggle) {
    const kept = { get: () => { try { return localStorage.getItem("bridge-keys") !== "off"; } catch { return true; } },
      set: (on) => { try { localStorage.setItem("bridge-keys", on ? "on" : "off"); } catch { /* for this page alone */ } } };
    let on = kept.get();
    // After a decision the next message is here: a second press that was meant for the first decides nothing.
    const readFrom = Date.now() + 1000;
    const show = () => {
      toggle.textContent = on ? toggle.dataset.on : toggle.dataset.off;
      for (const button of keyed) {
        button.querySelector("kbd").hidden = !on;
        if (on) button.setAttribute("aria-keyshortcuts", button.dataset.key);
        else button.removeAttribute("aria-keyshortcuts");
      }
    };
    toggle.hidden = false;
    toggle.addEventListener("click", () => { on = !on; kept.set(on); show(); });
    addEventListener("keydown", (event) => {
      if (!on || Date.now() < readFrom || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input, textarea, select")) return;
      keyed.find((button) => button.dataset.key === event.key && !button.disabled)?.click();
    });
    show();
  }
  // What happens, as it happens: a stream while the page is in view.
  const rows = document.getElementById("live");
  if (rows) {
    const state = document.getElementById("live-state");
    const template = document.getElementById("live-row");
    const most = 200;
    const add = (row) => {
      document.getElementById("live-none")?.remove();
      rows.prepend(row);
      while (rows.rows.length > most) rows.lastElementChild.remove();
    };
    // Where the stream begins again shortly before it ended, each line is shown once.
    let position = rows.dataset.position;
    const known = new Set([...rows.rows].map((row) => row.dataset.key));
    const gap = (event) => {
      const row = document.createElement("tr");
      const cell = row.appendChild(document.createElement("td"));
      cell.colSpan = 5;
      cell.className = "gap";
      cell.textContent = JSON.parse(event.data).words;
      add(row);
    };
    const line = (event) => {
      const told = JSON.parse(event.data);
      position = event.lastEventId || position;
      if (known.has(told.key)) return;
      known.add(told.key);
      if (known.size > 5000) known.delete(known.values().next().value);
      const row = template.content.firstElementChild.cloneNode(true);
      const time = row.querySelector("time");
      time.dateTime = told.utc;
      time.textContent = told.local;
      row.querySelector("a").href = "messages/" + encodeURIComponent(told.mId);
      const [, what, way, channel, contact] = row.cells;
      what.textContent = told.words;
      way.firstElementChild.textContent = told.sign;
      way.lastElementChild.textContent = told.way;
      channel.textContent = told.channel;
      contact.textContent = told.contact;
      add(row);
    };
    let source = null;
    const open = () => {
      source = new EventSource(rows.dataset.events + "?from=" + position);
      source.addEventListener("begins", () => { state.textContent = state.dataset.on; });
      source.addEventListener("line", line);
      source.addEventListener("gap", gap);
      source.addEventListener("unreadable", () => { state.textContent = state.dataset.unreadable; });
      source.addEventListener("error", () => {
        state.textContent = source.readyState === EventSource.CLOSED ? state.dataset.off : state.dataset.lost;
      });
    };
    const follow = () => {
      if (document.hidden) { source?.close(); source = null; } else if (!source) open();
    };
    document.addEventListener("visibilitychange", follow);
    follow();
  }
  // Coming back to a page shows it as it is now, not with its buttons off.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
