// <malha-bell src="/agir/sino/">: the bell, the tab's title, and a sound that one turns on.
import { announce } from "./announce.ts";

const SOUND_KEY = "malha-sound";

interface Bell {
  count: number;
  newest: number;
  label: string;
  text: string;
  lines: { text: string; url: string }[];
}

function beep(): void {
  const context = new AudioContext();
  [880, 660, 880].forEach((pitch, index) => {
    const tone = context.createOscillator();
    const gain = context.createGain();
    const start = context.currentTime + index * 0.28;
    tone.frequency.value = pitch;
    gain.gain.setValueAtTime(0.0001, start);
    gain.gain.exponentialRampToValueAtTime(0.25, start + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.0001, start + 0.24);
    tone.connect(gain).connect(context.destination);
    tone.start(start);
    tone.stop(start + 0.25);
  });
  window.setTimeout(() => void context.close(), 1500);
}

class MalhaBell extends HTMLElement {
  private count = 0;
  private newest = 0;
  private timer = 0;
  private readonly plainTitle = document.title.replace(/^\(\d+\) /, "");
  private readonly again = (): void => void this.fetch();

  connectedCallback(): void {
    const live = document.querySelector("malha-live") !== null; // a page for looking at hears of alarms; others ask now and then
    this.timer = window.setInterval(this.again, live ? 15_000 : 60_000);
    this.count = Number(this.dataset["count"] ?? 0);
    this.newest = Number(this.dataset["newest"] ?? 0);
    this.retitle();
    document.body.addEventListener("malha-alarm", this.again);
    document.addEventListener("click", this.onClick);
    this.paint();
  }

  disconnectedCallback(): void {
    window.clearInterval(this.timer);
    document.body.removeEventListener("malha-alarm", this.again);
    document.removeEventListener("click", this.onClick);
  }

  private readonly onClick = (event: Event): void => {
    const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>("[data-sound]") : null;
    if (!button) return;
    const on = localStorage.getItem(SOUND_KEY) !== "on";
    localStorage.setItem(SOUND_KEY, on ? "on" : "off");
    if (on) beep(); // heard once, so that one knows what it sounds like; and the browser then allows it
    this.paint();
  };

  private paint(): void {
    for (const button of document.querySelectorAll<HTMLButtonElement>("[data-sound]")) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(localStorage.getItem(SOUND_KEY) === "on"));
    }
  }

  private async fetch(): Promise<void> {
    const url = this.getAttribute("src");
    if (!url) return;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (!answer.ok) return;
      this.show((await answer.json()) as Bell);
    } catch {
      // the band of <malha-live> says that nothing is heard
    }
  }

  private retitle(): void {
    document.title = this.count ? `(${this.count}) ${this.plainTitle}` : this.plainTitle;
  }

  private show(now: Bell): void {
    const bell = document.getElementById("sino");
    if (bell && now.count !== this.count) {
      this.list(now.lines);
      bell.setAttribute("aria-label", now.label);
      bell.querySelector(".bell-count")?.remove();
      if (now.count) {
        const mark = document.createElement("span");
        mark.className = "bell-count";
        mark.setAttribute("aria-hidden", "true");
        mark.textContent = now.count > 99 ? "99+" : String(now.count);
        bell.append(mark);
      }
    }
    if (now.newest > this.newest) {
      announce(now.text);
      if (localStorage.getItem(SOUND_KEY) === "on") beep();
    } else if (now.count > this.count) announce(now.label);
    this.count = now.count;
    this.newest = Math.max(this.newest, now.newest);
    this.retitle();
  }

  private list(lines: Bell["lines"]): void {
    const items = lines.map((line) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = line.url;
      link.textContent = line.text;
      item.append(link);
      return item;
    });
    document.getElementById("sino-lista")?.replaceChildren(...items);
  }
}

customElements.define("malha-bell", MalhaBell);
