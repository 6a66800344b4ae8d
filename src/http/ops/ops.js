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
  // Coming back to a page shows it as it is now, not with its buttons off.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
