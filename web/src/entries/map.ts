// <malha-map src="spec.json">: our own layers on the tenant's boundary, live, with a legend that filters and a table twin.
import type * as GeoJSON from "geojson";
import { AttributionControl, type GeoJSONSource, Map as LibreMap, type LayerSpecification, type MapGeoJSONFeature, NavigationControl, Popup, ScaleControl, setWorkerUrl, type StyleSpecification } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import "../../styles/insight.css";
import { announce } from "../announce.ts";
import { AreaDrawing } from "../insight/draw.ts";
import { inline } from "../insight/inline.ts";
import { alike, beside, drawn, type Feature, grouping, passes } from "../insight/layers.ts";
import { quantity } from "../insight/numbers.ts";
import { PlacePicking } from "../insight/pick.ts";
import type { LayerSpec, MapSpec, Together } from "../insight/spec.ts";
import { listen } from "../insight/stream.ts";
import { colour } from "../insight/tokens.ts";

setWorkerUrl(workerUrl);

const TABLE_ROWS = 300;
const EMPTY: GeoJSON.FeatureCollection = { type: "FeatureCollection", features: [] };

interface Held {
  spec: LayerSpec;
  features: Map<string, Feature>;
  at: string;
  on: boolean;
  off: Set<number>;
  loading: boolean;
  again: boolean;
}

async function asked<T>(url: string): Promise<T> {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  return (await answer.json()) as T;
}

class MalhaMap extends HTMLElement {
  private map?: LibreMap;
  private spec?: MapSpec;
  private held = new Map<string, Held>();
  private popup?: Popup;
  private drawing?: AreaDrawing;
  private tableTimer = 0;
  private moved = false;
  private painted = false;
  private first?: Promise<Together>; // asked for while the map is built
  private limits?: Promise<GeoJSON.FeatureCollection>;
  private waiting = new Set<Held>();
  private readonly legend = document.createElement("fieldset");

  connectedCallback(): void {
    void this.start();
  }

  disconnectedCallback(): void {
    this.map?.remove();
  }

  private async start(): Promise<void> {
    const url = this.getAttribute("src");
    if (!url) return;
    this.setAttribute("aria-busy", "true");
    try {
      this.spec = this.coloured(inline<MapSpec>(this) ?? (await asked<MapSpec>(url)));
      if (this.spec.preload && !this.spec.first) this.first = asked<Together>(this.spec.preload);
      if (this.spec.boundary) this.limits = asked<GeoJSON.FeatureCollection>(this.spec.boundary).catch(() => EMPTY);
      for (const layer of [...this.spec.layers].sort((a, b) => order(a) - order(b))) {
        this.held.set(layer.id, { spec: layer, features: new Map(), at: "", on: layer.visible !== false, off: new Set(), loading: false, again: false });
      }
      if (this.spec.first) this.keep(this.spec.first);
      this.build(this.spec);
    } catch (reason) {
      this.dataset["state"] = "failed";
      console.error(reason);
    }
  }

  private coloured(spec: MapSpec): MapSpec {
    const paint = (name: string): string => colour(this, name);
    for (const layer of spec.layers) {
      layer.colour.default = paint(layer.colour.default ?? "--severity-nodata");
      layer.colour.stops = layer.colour.stops?.map(([from, name]) => [from, paint(name)]);
      for (const [value, name] of Object.entries(layer.colour.categories ?? {})) layer.colour.categories![value] = paint(name);
      for (const item of layer.legend) item.colour = paint(item.colour);
    }
    return spec;
  }

  // Our own sources and layers, lowest first.
  private content(spec: MapSpec): { sources: StyleSpecification["sources"]; layers: LayerSpecification[] } {
    const ink = colour(this, "--text");
    const paper = colour(this, "--surface");
    const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16 || 1; // a wall is read from the door
    const sources: StyleSpecification["sources"] = { boundary: { type: "geojson", data: EMPTY } };
    const layers: LayerSpecification[] = [
      { id: "boundary:fill", type: "fill", source: "boundary", paint: { "fill-color": paper, "fill-antialias": false } }, // its edge is the line above
      { id: "boundary:line", type: "line", source: "boundary", paint: { "line-color": colour(this, "--line-input"), "line-width": 1.5 } },
    ];
    const grouped = spec.layers.filter((layer) => layer.kind === "cluster" && !layer.tiles && layer.visible !== false).map((layer) => layer.id);
    for (const one of this.held.values()) {
      const layer = one.spec;
      if (layer.tiles) sources[layer.id] = { type: "vector", tiles: [new URL(layer.tiles, location.href).href.replaceAll("%7B", "{").replaceAll("%7D", "}")], minzoom: 0, maxzoom: 16 };
      else sources[layer.id] = { type: "geojson", data: this.collection(one), ...grouping(layer) };
      const aside = beside(Math.max(0, grouped.indexOf(layer.id)), grouped.length);
      for (const part of drawn(layer, ink, paper, scale, aside)) layers.push({ ...part, layout: { ...part.layout, visibility: layer.visible === false ? "none" : "visible" } } as typeof part);
    }
    return { sources, layers };
  }

  private build(spec: MapSpec): void {
    this.querySelector("[data-fallback]")?.remove();
    const box = document.createElement("div");
    box.className = "map-box"; // its colour is the paper: a layer of it would be one more program for the graphics card to make ready
    this.prepend(box);
    const words = spec.words;
    const own = this.content(spec);
    const map = new LibreMap({
      container: box,
      style: spec.basemap ?? { version: 8, sources: own.sources, layers: own.layers },
      validateStyle: false, // ours is made by our own code, and checking it takes longer than drawing it
      bounds: spec.extent,
      fitBoundsOptions: { padding: 24 },
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      fadeDuration: 0,
      locale: {
        "Map.Title": this.getAttribute("label") ?? words["map"] ?? "",
        "NavigationControl.ZoomIn": words["zoom_in"] ?? "",
        "NavigationControl.ZoomOut": words["zoom_out"] ?? "",
        "Popup.Close": words["close"] ?? "",
      },
    });
    this.map = map;
    map.touchZoomRotate.disableRotation();
    map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    map.addControl(new ScaleControl({ unit: "metric" }), "bottom-left");
    map.addControl(new AttributionControl({ compact: true, customAttribution: words["attribution"] ?? "" }), "bottom-right");
    map.once("load", () => (this.painted = true));
    map.once("style.load", () => {
      if (spec.basemap) {
        for (const [id, source] of Object.entries(own.sources)) map.addSource(id, source);
        for (const layer of own.layers) map.addLayer(layer);
      }
      void this.fill(spec);
    });
    map.on("movestart", (event) => {
      if (event.originalEvent) this.moved = true;
    });
    map.on("resize", () => {
      if (!this.moved && !this.drawing) map.fitBounds(spec.extent, { padding: 24, animate: false }); // until somebody moves it, all of it is in sight
    });
    map.on("click", (event) => this.onClick(event.point));
    map.on("mousemove", (event) => {
      map.getCanvas().style.cursor = this.drawing?.drawing ? "crosshair" : this.at(event.point).length ? "pointer" : "";
    });
  }

  private async fill(spec: MapSpec): Promise<void> {
    const map = this.map!;
    this.drawLegend(spec);
    const input = document.getElementById(this.getAttribute("draw") ?? "");
    if (input instanceof HTMLInputElement) {
      const bar = document.createElement("div");
      bar.className = "map-tools row";
      this.querySelector(".map-box")?.after(bar);
      this.drawing = new AreaDrawing(map, input, spec.words, bar);
    }
    const [longitude, latitude] = (this.getAttribute("pick") ?? "").split(" ").map((id) => document.getElementById(id));
    if (longitude instanceof HTMLInputElement && latitude instanceof HTMLInputElement) {
      new PlacePicking(map, longitude, latitude, spec.words["picked"] ?? "");
    }
    await Promise.all([this.boundary(), this.begin(spec)]);
    this.removeAttribute("aria-busy");
    map.once(this.painted ? "idle" : "load", () => (this.dataset["state"] = "drawn")); // its values are on the screen
    this.dispatchEvent(new CustomEvent("malha-map-ready", { bubbles: true }));
    this.goTo();
    if (spec.live) {
      listen(spec.live, ({ types }) => {
        this.refresh([...this.held.values()].filter((one) => one.on && (!types.length || types.includes(one.spec.type ?? ""))));
      });
    }
    this.querySelector("details[data-map-table]")?.addEventListener("toggle", () => this.table());
  }

  private goTo(): void {
    const given = new URLSearchParams(location.search).get("lugar")?.split(",").map(Number);
    if (given?.length === 2 && given.every(Number.isFinite)) {
      this.moved = true;
      this.map?.jumpTo({ center: [given[0]!, given[1]!], zoom: 15 });
    }
  }

  private async boundary(): Promise<void> {
    const found = await this.limits;
    if (found) this.map!.getSource<GeoJSONSource>("boundary")?.setData(found);
  }

  // What can be seen, in one answer; layers that are off come when somebody wants them.
  private async begin(spec: MapSpec): Promise<void> {
    const shown = [...this.held.values()].filter((one) => one.on);
    if (!this.first) {
      await Promise.all(shown.filter((one) => !one.at).map((one) => this.load(one)));
      return;
    }
    const found = await this.first;
    for (const one of shown) {
      if (found.layers[one.spec.id]) this.take(one, found.layers[one.spec.id]!, found);
      else await this.load(one);
    }
    delete spec.preload;
  }

  // Changes that come together are asked for together.
  private refresh(changed: Held[]): void {
    const url = this.spec?.together;
    const plain = changed.filter((one) => url && one.spec.data && one.at);
    for (const one of changed) if (!plain.includes(one)) void this.load(one);
    const idle = !this.waiting.size;
    for (const one of plain) this.waiting.add(one);
    if (url && plain.length && idle) void this.fetchChanged(url);
  }

  private async fetchChanged(url: string): Promise<void> {
    while (this.waiting.size) {
      const batch = [...this.waiting];
      const since = batch.map((one) => one.at).sort()[0]!;
      try {
        const found = await asked<Together>(`${url}?camadas=${batch.map((one) => encodeURIComponent(one.spec.id)).join(",")}&desde=${encodeURIComponent(since)}`);
        for (const one of batch) if (found.layers[one.spec.id]) this.take(one, found.layers[one.spec.id]!, found);
      } catch {
        // the band of <malha-live> says that nothing is heard; the next change asks again from the same instant
      }
      for (const one of batch) this.waiting.delete(one);
    }
  }

  // What came with the page: it is drawn with the map.
  private keep(found: Together): void {
    for (const one of this.held.values()) {
      for (const feature of found.layers[one.spec.id] ?? []) one.features.set(String(feature.id), feature);
      if (found.layers[one.spec.id]) one.at = found.at;
    }
  }

  private take(one: Held, features: Feature[], found: { at: string; whole: boolean }): void {
    // files of open data number no features: such a layer always comes whole, so that their places in it will do
    features.forEach((feature, place) => (feature.id ??= place));
    const changed = found.whole || features.some((feature) => !alike(one.spec, one.features.get(String(feature.id)), feature));
    if (found.whole) one.features.clear();
    for (const feature of features) one.features.set(String(feature.id), feature);
    one.at = found.at;
    if (changed) this.paint(one); // another value of the same colour at the same place needs no drawing
    else this.tableSoon();
  }

  // The whole layer first; then only what changed since, merged by id, so that nothing jumps.
  private async load(one: Held): Promise<void> {
    if (one.spec.tiles) {
      const source = this.map!.getSource(one.spec.id);
      if (one.at && source && "setTiles" in source) (source as unknown as { setTiles(tiles: string[]): void }).setTiles([`${one.spec.tiles}?${Date.now()}`]);
      one.at = "tiles";
      return;
    }
    if (!one.spec.data) return;
    if (one.loading) {
      one.again = true;
      return;
    }
    one.loading = true;
    try {
      const url = new URL(one.spec.data, location.href);
      if (one.at) url.searchParams.set("desde", one.at);
      const answer = await fetch(url, { credentials: "same-origin" });
      if (!answer.ok) return;
      const found = (await answer.json()) as GeoJSON.FeatureCollection & { at?: string; whole?: boolean };
      this.take(one, found.features as Feature[], { at: found.at ?? "", whole: found.whole !== false });
    } finally {
      one.loading = false;
      if (one.again) {
        one.again = false;
        void this.load(one);
      }
    }
  }

  private seen(one: Held): Feature[] {
    return one.on ? [...one.features.values()].filter((feature) => passes(one.spec, one.off, feature.properties)) : [];
  }

  private paint(one: Held): void {
    this.map!.getSource<GeoJSONSource>(one.spec.id)?.setData(this.collection(one));
    this.tableSoon();
  }

  private tableSoon(): void {
    window.clearTimeout(this.tableTimer);
    this.tableTimer = window.setTimeout(() => this.table(), 300);
  }

  private collection(one: Held): GeoJSON.FeatureCollection {
    return { type: "FeatureCollection", features: this.seen(one) };
  }

  private layerIds(): string[] {
    return [...this.held.values()].filter((one) => one.on).flatMap((one) => drawn(one.spec, "", "").map((layer) => layer.id));
  }

  private at(point: { x: number; y: number }): MapGeoJSONFeature[] {
    const ids = this.layerIds().filter((id) => this.map!.getLayer(id));
    const { x, y } = point;
    return this.map!.queryRenderedFeatures([[x - 4, y - 4], [x + 4, y + 4]], { layers: ids }); // prettier-ignore
  }

  private onClick(point: { x: number; y: number }): void {
    if (this.drawing?.drawing) return;
    const [found] = this.at(point);
    if (!found) return;
    const where = (found.geometry.type === "Point" ? found.geometry.coordinates : this.map!.unproject([point.x, point.y]).toArray()) as [number, number];
    if (found.properties["point_count"]) {
      void (this.map!.getSource(found.source) as GeoJSONSource)
        .getClusterExpansionZoom(found.properties["cluster_id"] as number)
        .then((zoom) => this.map!.easeTo({ center: where, zoom, animate: !window.matchMedia("(prefers-reduced-motion: reduce)").matches }));
      return;
    }
    const one = this.held.get(found.source);
    if (one) this.open(one.spec, one.features.get(String(found.id))?.properties ?? found.properties, where); // drawn may be older than known
  }

  private open(layer: LayerSpec, properties: Record<string, unknown>, where: [number, number]): void {
    const card = document.createElement("div");
    card.className = "map-card";
    const title = document.createElement("p");
    title.className = "map-card-title";
    title.textContent = String(properties["name"] ?? layer.label);
    const list = document.createElement("dl");
    for (const field of layer.popup) {
      const value = properties[field.property];
      if (value === undefined || value === null || value === "") continue;
      const term = document.createElement("dt");
      term.textContent = field.label;
      const said = document.createElement("dd");
      said.textContent = typeof value === "number" ? quantity(value, field.unit, layer.decimals) : String(value);
      list.append(term, said);
    }
    card.append(title, list);
    const href = properties["href"];
    if (typeof href === "string" && href.startsWith("/")) {
      const link = document.createElement("a");
      link.href = href;
      link.textContent = this.spec?.words["record"] ?? href;
      card.append(link);
    }
    this.popup?.remove();
    this.popup = new Popup({ maxWidth: "320px", focusAfterOpen: true }).setLngLat(where).setDOMContent(card).addTo(this.map!);
  }

  private drawLegend(spec: MapSpec): void {
    if (!spec.layers.length || this.hasAttribute("no-legend")) return;
    this.legend.className = "map-legend";
    const title = document.createElement("legend");
    title.textContent = spec.words["legend"] ?? "";
    this.legend.append(title);
    for (const one of this.held.values()) {
      const group = document.createElement("div");
      group.className = "map-legend-layer";
      group.append(this.tick(one.spec.label, one.on, (on) => this.toggle(one, on)));
      const list = document.createElement("ul");
      list.hidden = !one.on;
      for (const [index, item] of one.spec.legend.entries()) {
        const line = document.createElement("li");
        line.append(
          this.tick(item.label, true, (on) => {
            if (on) one.off.delete(index);
            else one.off.add(index);
            this.paint(one);
            announce(`${item.label}: ${this.seen(one).length}`);
          }, item),
        ); // prettier-ignore
        list.append(line);
      }
      group.append(list);
      this.legend.append(group);
    }
    const place = this.querySelector("[data-legend]");
    if (place) place.append(this.legend);
    else this.querySelector(".map-box")?.after(this.legend);
  }

  private tick(label: string, on: boolean, act: (on: boolean) => void, item?: { colour: string; shape?: string }): HTMLElement {
    const line = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = on;
    box.addEventListener("change", () => act(box.checked));
    line.append(box);
    if (item) {
      const swatch = document.createElement("span");
      swatch.className = `swatch swatch-${item.shape ?? "circle"}`;
      swatch.style.background = item.colour;
      line.append(swatch);
    }
    line.append(document.createTextNode(label));
    return line;
  }

  private toggle(one: Held, on: boolean): void {
    one.on = on;
    for (const layer of drawn(one.spec, "", "")) this.map!.setLayoutProperty(layer.id, "visibility", on ? "visible" : "none");
    const index = [...this.held.values()].indexOf(one);
    const list = this.legend.querySelectorAll("ul")[index];
    if (list) list.hidden = !on;
    if (on) void this.load(one);
    this.paint(one);
    announce(`${one.spec.label}: ${this.seen(one).length}`);
  }

  private table(): void {
    const twin = this.querySelector<HTMLDetailsElement>("details[data-map-table]");
    const place = twin?.querySelector("[data-rows]");
    if (!twin?.open || !place) return;
    const tables: HTMLElement[] = [];
    for (const one of this.held.values()) {
      const seen = this.seen(one);
      if (!seen.length) continue;
      const table = document.createElement("table");
      table.className = "table";
      table.createCaption().textContent = seen.length > TABLE_ROWS ? `${one.spec.label} (${TABLE_ROWS} / ${seen.length})` : `${one.spec.label} (${seen.length})`;
      const head = table.createTHead().insertRow();
      for (const label of [this.spec?.words["name"] ?? "", ...one.spec.popup.map((field) => (field.unit ? `${field.label} (${field.unit})` : field.label))]) {
        const cell = document.createElement("th");
        cell.scope = "col";
        cell.textContent = label;
        head.append(cell);
      }
      const body = table.createTBody();
      for (const feature of seen.slice(0, TABLE_ROWS)) {
        const line = body.insertRow();
        const heading = document.createElement("th");
        heading.scope = "row";
        const name = String(feature.properties["name"] ?? feature.properties["id"] ?? feature.id);
        if (feature.properties["href"]) {
          const link = document.createElement("a");
          link.href = String(feature.properties["href"]);
          link.textContent = name;
          heading.append(link);
        } else heading.append(name);
        line.append(heading);
        for (const field of one.spec.popup) {
          const value = feature.properties[field.property];
          const cell = line.insertCell();
          if (typeof value === "number") cell.className = "numeric";
          cell.textContent = typeof value === "number" ? quantity(value, undefined, one.spec.decimals) : String(value ?? "—");
        }
      }
      const wrap = document.createElement("div");
      wrap.className = "table-wrap";
      wrap.tabIndex = 0;
      wrap.setAttribute("role", "region");
      wrap.setAttribute("aria-label", one.spec.label);
      wrap.append(table);
      tables.push(wrap);
    }
    place.replaceChildren(...tables);
  }
}

// What is never grouped lies above what is, so that a group hides no river in flood.
function order(layer: LayerSpec): number {
  return { fill: 0, line: 1, cluster: 2, circle: 3, symbol: 4 }[layer.kind];
}

customElements.define("malha-map", MalhaMap);
