// One stream of changes per page, shared by map, cards and lists; it says when it last heard.

export interface Sign {
  types: string[];
  name: string;
}

type Listener = (sign: Sign) => void;

class Stream {
  readonly listeners = new Set<Listener>();
  heardAt = Date.now();
  private source: EventSource;
  private waiting = new Map<string, number>();

  constructor(url: string) {
    this.source = new EventSource(url);
    this.source.onopen = () => this.heard();
    this.source.onmessage = (event) => this.receive("message", event.data);
    for (const name of ["ping", "hello", "entities.changed", "entities.deleted", "alarm.changed"]) {
      this.source.addEventListener(name, (event) => this.receive(name, (event as MessageEvent<string>).data));
    }
    window.addEventListener("pagehide", () => this.source.close());
  }

  private heard(): void {
    this.heardAt = Date.now();
  }

  private receive(name: string, data: string): void {
    this.heard();
    if (name === "ping" || name === "hello") return;
    let body: Record<string, unknown> = {};
    try {
      body = JSON.parse(data) as Record<string, unknown>;
    } catch {
      return;
    }
    const kind = typeof body["name"] === "string" ? body["name"] : name;
    const payload = (typeof body["payload"] === "object" && body["payload"] ? body["payload"] : body) as Record<string, unknown>;
    const types = Array.isArray(payload["types"]) ? (payload["types"] as string[]) : typeof payload["type"] === "string" ? [payload["type"]] : [];
    const key = `${kind}|${types.join(",")}`;
    if (this.waiting.has(key)) return; // a burst is one change
    this.waiting.set(
      key,
      window.setTimeout(() => {
        this.waiting.delete(key);
        const sign = { types, name: kind };
        for (const listener of this.listeners) listener(sign);
        document.body.dispatchEvent(new CustomEvent("malha-live", { detail: sign }));
        for (const type of types) document.body.dispatchEvent(new CustomEvent(`malha-live-${type}`));
        if (kind.startsWith("alarm")) document.body.dispatchEvent(new CustomEvent("malha-alarm"));
      }, 150),
    );
  }
}

const streams = new Map<string, Stream>();

export function listen(url: string, listener?: Listener): Stream {
  let stream = streams.get(url);
  if (!stream) {
    stream = new Stream(url);
    streams.set(url, stream);
  }
  if (listener) stream.listeners.add(listener);
  return stream;
}

export type { Stream };
