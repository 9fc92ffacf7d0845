// Sends a file piece by piece and goes on where it was cut: after a lost connection by itself, after a closed page when the same file is chosen again.
import { announce } from "./announce.ts";
import { number } from "./insight/numbers.ts";

const MOST_WAIT_SECONDS = 30;

interface Place {
  offset: number;
  piece: string;
  whole: string;
}

/** The server refused for good: its words are shown, and nothing is tried again. */
class Refused extends Error {}

function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const at = Math.min(units.length - 1, bytes > 0 ? Math.floor(Math.log10(bytes) / 3) : 0);
  return `${number(bytes / 1000 ** at, at > 1 ? 1 : 0)}\u00a0${units[at]}`;
}

class Upload extends HTMLElement {
  #halted = false;
  #wake: (() => void) | null = null;

  connectedCallback(): void {
    const form = this.querySelector("form");
    form?.addEventListener("submit", (event) => {
      const file = form.querySelector<HTMLInputElement>("input[type=file]")?.files?.[0];
      if (!file || file.size === 0) return; // the server says what is missing
      event.preventDefault();
      void this.#send(form, file);
    });
  }

  #say(name: string, values: Record<string, string> = {}): string {
    return Object.entries(values).reduce((text, [key, value]) => text.replace(`{${key}}`, value), this.getAttribute(name) ?? "");
  }

  async #send(form: HTMLFormElement, file: File): Promise<void> {
    const token = form.querySelector<HTMLInputElement>("input[name=csrfmiddlewaretoken]")?.value ?? "";
    const shown = this.#show(form);
    try {
      const place = await this.#begin(file, token);
      if (place.offset > 0) announce(this.#say("goes-on"));
      await this.#pieces(file, place, token, shown);
      shown.text.textContent = this.#say("checking");
      announce(this.#say("checking"));
      const told = await this.#ask(place.whole, { method: "POST", headers: { "X-CSRFToken": token } });
      window.location.assign(String(told["next"]));
    } catch (reason) {
      shown.box.remove();
      form.hidden = false;
      this.#fail(form, reason instanceof Refused ? reason.message : this.#say("failed"));
    }
  }

  #show(form: HTMLFormElement): { box: HTMLElement; bar: HTMLProgressElement; text: HTMLElement } {
    this.querySelector(".alert")?.remove();
    const box = document.createElement("div");
    box.className = "progress";
    const label = document.createElement("label");
    const bar = document.createElement("progress");
    bar.max = 100;
    label.append(this.#say("label"), bar);
    const text = document.createElement("p");
    text.className = "progress-text";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-secondary";
    button.textContent = this.#say("halt");
    button.addEventListener("click", () => {
      this.#halted = !this.#halted;
      button.textContent = this.#say(this.#halted ? "resume" : "halt");
      if (this.#halted) text.textContent = this.#say("halted");
      else this.#wake?.();
    });
    box.append(label, text, button);
    form.hidden = true;
    form.after(box);
    button.focus();
    return { box, bar, text };
  }

  #fail(form: HTMLFormElement, words: string): void {
    const alert = document.createElement("div");
    alert.className = "alert alert-danger";
    alert.setAttribute("role", "alert");
    const text = document.createElement("p");
    text.textContent = words;
    alert.append(text);
    form.before(alert);
    form.querySelector<HTMLInputElement>("input[type=file]")?.focus();
  }

  async #begin(file: File, token: string): Promise<Place> {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", token);
    body.set("name", file.name);
    body.set("bytes", String(file.size));
    body.set("mark", String(file.lastModified));
    return (await this.#ask(this.getAttribute("begin") ?? "", { method: "POST", body })) as unknown as Place;
  }

  async #pieces(file: File, place: Place, token: string, shown: { bar: HTMLProgressElement; text: HTMLElement }): Promise<void> {
    const length = Number(this.getAttribute("piece")) || 4_194_304;
    const begun = performance.now();
    const first = place.offset;
    let offset = first;
    let failures = 0;
    while (offset < file.size) {
      if (this.#halted) {
        await new Promise<void>((wake) => (this.#wake = wake));
        continue;
      }
      try {
        const body = file.slice(offset, offset + length);
        const headers = { "X-CSRFToken": token, "Upload-Offset": String(offset), "Content-Type": "application/octet-stream" };
        offset = Number((await this.#ask(place.piece, { method: "POST", headers, body }))["offset"]);
        failures = 0;
      } catch (reason) {
        if (reason instanceof Refused) throw reason;
        failures += 1;
        const wait = Math.min(MOST_WAIT_SECONDS, 2 ** (failures - 1));
        shown.text.textContent = this.#say("retrying", { seconds: String(wait) });
        if (failures === 1) announce(shown.text.textContent);
        await new Promise((wake) => window.setTimeout(wake, wait * 1000));
        offset = await this.#offset(place.piece, offset);
        continue;
      }
      const rate = (offset - first) / Math.max(0.001, (performance.now() - begun) / 1000);
      shown.bar.value = (offset * 100) / file.size;
      shown.text.textContent = this.#say("sent", { done: size(offset), all: size(file.size), rate: size(rate), left: this.#time((file.size - offset) / rate) });
    }
  }

  async #offset(address: string, before: number): Promise<number> {
    try {
      return Number((await this.#ask(address, {}))["offset"]);
    } catch {
      return before;
    }
  }

  #time(seconds: number): string {
    return seconds < 90 ? this.#say("seconds", { n: String(Math.ceil(seconds)) }) : this.#say("minutes", { n: String(Math.ceil(seconds / 60)) });
  }

  /** The answer as JSON. A piece out of place says where to go on; another refusal (4xx, or no room) is for good; anything else is worth another try. */
  async #ask(address: string, how: RequestInit): Promise<Record<string, unknown>> {
    const answer = await fetch(address, { credentials: "same-origin", ...how, headers: { Accept: "application/json", ...how.headers } });
    const said = answer.headers.get("content-type")?.includes("json") ? ((await answer.json()) as Record<string, unknown>) : {};
    if (answer.ok && !answer.redirected) return said;
    if (answer.status === 409 && typeof said["offset"] === "number") return said;
    if (answer.redirected || (answer.status >= 400 && answer.status < 500) || answer.status === 507) throw new Refused(String(said["detail"] ?? this.#say("failed")));
    throw new Error(String(answer.status));
  }
}

export function startUploads(): void {
  customElements.define("malha-upload", Upload);
}
