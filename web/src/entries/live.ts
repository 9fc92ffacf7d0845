// <malha-live src="stream">: the band that says since when nothing is heard, and fresh values without a jump.
// <malha-bell src="/agir/sino/">: the bell, the tab's title, and a sound that one turns on.
import "../../styles/insight.css";
import { announce } from "../announce.ts";
import { clock } from "../insight/numbers.ts";
import { listen, type Stream } from "../insight/stream.ts";

const QUIET_MS = 15_000;
const SOUND_KEY = "malha-sound";

class MalhaLive extends HTMLElement {
  private stream?: Stream;
  private timer = 0;

  connectedCallback(): void {
    const url = this.getAttribute("src");
    if (!url) return;
    this.stream = listen(url);
    this.timer = window.setInterval(() => this.look(), 1000);
    this.look();
  }

  disconnectedCallback(): void {
    window.clearInterval(this.timer);
  }

  private look(): void {
    const heardAt = this.stream?.heardAt ?? Date.now();
    const lost = Date.now() - heardAt > QUIET_MS;
    if (lost !== document.body.classList.contains("no-signal")) {
      document.body.classList.toggle("no-signal", lost);
      this.hidden = !lost;
      const zone = this.dataset["zone"] ?? "Europe/Lisbon";
      const since = clock(heardAt, zone);
      this.querySelector("[data-since]")!.textContent = since;
      announce(lost ? `${this.dataset["lost"] ?? ""} ${since}` : (this.dataset["back"] ?? ""));
    }
    const heard = document.querySelector<HTMLElement>("[data-heard]");
    if (heard && !lost) {
      const text = clock(heardAt, this.dataset["zone"] ?? "Europe/Lisbon");
      if (heard.textContent !== text) heard.textContent = text;
    }
  }
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
  private count = -1;
  private newest = 0;
  private timer = 0;
  private readonly plainTitle = document.title.replace(/^\(\d+\) /, "");
  private readonly again = (): void => void this.fetch();

  connectedCallback(): void {
    this.timer = window.setInterval(this.again, 15_000);
    document.body.addEventListener("malha-alarm", this.again);
    document.addEventListener("click", this.onClick);
    this.paint();
    void this.fetch();
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
      this.show((await answer.json()) as { count: number; newest: number; label: string; text: string });
    } catch {
      // the band of <malha-live> says that nothing is heard
    }
  }

  private show(now: { count: number; newest: number; label: string; text: string }): void {
    document.title = now.count ? `(${now.count}) ${this.plainTitle}` : this.plainTitle;
    const bell = document.getElementById("sino");
    if (bell && now.count !== this.count) {
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
    if (this.count >= 0 && now.newest > this.newest) {
      announce(now.text);
      if (localStorage.getItem(SOUND_KEY) === "on") beep();
    }
    this.count = now.count;
    this.newest = Math.max(this.newest, now.newest);
  }
}

customElements.define("malha-live", MalhaLive);
customElements.define("malha-bell", MalhaBell);
