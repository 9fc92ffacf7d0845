// <malha-live src="stream">: the band that says since when nothing is heard, and fresh values without a jump.
import "../../styles/insight.css";
import { announce } from "../announce.ts";
import { clock } from "../insight/numbers.ts";
import { listen, type Stream } from "../insight/stream.ts";

const QUIET_MS = 15_000;

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

customElements.define("malha-live", MalhaLive);
