// Draw one polygon on a map: by mouse or touch (tap the corners), or by keys (arrows move the map, Enter puts a corner at its centre).
import type * as GeoJSON from "geojson";
import type { GeoJSONSource, Map as LibreMap, MapMouseEvent } from "maplibre-gl";
import { announce } from "../announce.ts";

type Corner = [number, number];

export class AreaDrawing {
  private corners: Corner[] = [];
  private active = false;
  private readonly start: HTMLButtonElement;
  private readonly undo: HTMLButtonElement;
  private readonly clear: HTMLButtonElement;
  private readonly cross = document.createElement("div");

  private readonly map: LibreMap;
  private readonly input: HTMLInputElement;
  private readonly words: Record<string, string>;

  constructor(map: LibreMap, input: HTMLInputElement, words: Record<string, string>, bar: HTMLElement) {
    this.map = map;
    this.input = input;
    this.words = words;
    this.start = this.button("draw", () => (this.active ? this.finish() : this.begin()));
    this.undo = this.button("undo", () => this.change(() => this.corners.pop()));
    this.clear = this.button("clear", () => this.change(() => (this.corners = [])));
    bar.append(this.start, this.undo, this.clear);
    this.cross.className = "map-cross";
    this.cross.hidden = true;
    map.getContainer().append(this.cross);
    map.addSource("area", { type: "geojson", data: this.shape() });
    map.addLayer({ id: "area:fill", type: "fill", source: "area", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": "#d12332", "fill-opacity": 0.15 } });
    map.addLayer({ id: "area:line", type: "line", source: "area", paint: { "line-color": "#d12332", "line-width": 2, "line-dasharray": [2, 1] } });
    map.addLayer({ id: "area:corner", type: "circle", source: "area", filter: ["==", ["geometry-type"], "Point"], paint: { "circle-color": "#d12332", "circle-radius": 5 } });
    map.on("click", (event) => this.onClick(event));
    map.getCanvas().addEventListener("keydown", (event) => this.onKey(event));
    this.read();
  }

  get drawing(): boolean {
    return this.active;
  }

  private button(word: string, act: () => void): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-secondary";
    button.textContent = this.words[word] ?? word;
    button.addEventListener("click", act);
    return button;
  }

  private read(): void {
    try {
      const given = JSON.parse(this.input.value) as GeoJSON.Polygon;
      this.corners = (given.coordinates[0] ?? []).slice(0, -1).map(([x, y]) => [x!, y!]);
    } catch {
      this.corners = [];
    }
    this.paint();
    if (this.corners.length > 2) {
      const xs = this.corners.map((corner) => corner[0]);
      const ys = this.corners.map((corner) => corner[1]);
      this.map.fitBounds([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)], { padding: 60, animate: false });
    }
  }

  private begin(): void {
    this.active = true;
    this.corners = [];
    this.cross.hidden = false;
    this.map.getCanvas().focus();
    this.map.doubleClickZoom.disable();
    announce(this.words["how"] ?? "");
    this.paint();
  }

  private finish(): void {
    this.active = false;
    this.cross.hidden = true;
    this.map.doubleClickZoom.enable();
    this.paint();
  }

  private change(act: () => void): void {
    act();
    this.paint();
  }

  private onClick(event: MapMouseEvent): void {
    if (!this.active) return;
    event.preventDefault();
    const first = this.corners[0];
    if (first && this.corners.length > 2) {
      const at = this.map.project(first);
      if (Math.hypot(at.x - event.point.x, at.y - event.point.y) < 12) return this.finish();
    }
    this.add([event.lngLat.lng, event.lngLat.lat]);
  }

  private onKey(event: KeyboardEvent): void {
    if (!this.active) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      const centre = this.map.getCenter();
      this.add([centre.lng, centre.lat]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.finish();
    } else if (event.key === "Backspace") {
      event.preventDefault();
      this.change(() => this.corners.pop());
    }
  }

  private add([x, y]: Corner): void {
    this.corners.push([Number(x.toFixed(6)), Number(y.toFixed(6))]);
    announce(`${this.corners.length}`);
    this.paint();
  }

  private shape(): GeoJSON.FeatureCollection {
    const ring = this.corners;
    const features: GeoJSON.Feature[] = [];
    const add = (geometry: GeoJSON.Geometry): number => features.push({ type: "Feature", geometry, properties: {} });
    if (ring.length > 2) add({ type: "Polygon", coordinates: [[...ring, ring[0]!]] });
    else if (ring.length > 1) add({ type: "LineString", coordinates: ring });
    if (this.active) for (const corner of ring) add({ type: "Point", coordinates: corner });
    return { type: "FeatureCollection", features };
  }

  private paint(): void {
    (this.map.getSource("area") as GeoJSONSource | undefined)?.setData(this.shape());
    const polygon = this.corners.length > 2 ? JSON.stringify({ type: "Polygon", coordinates: [[...this.corners, this.corners[0]]] }) : "";
    if (this.input.value !== polygon) {
      this.input.value = polygon;
      this.input.dispatchEvent(new Event("change", { bubbles: true }));
    }
    this.start.textContent = (this.active ? this.words["finish"] : this.corners.length ? this.words["redraw"] : this.words["draw"]) ?? "";
    this.start.setAttribute("aria-pressed", String(this.active));
    this.undo.hidden = !this.active;
    this.clear.hidden = !this.corners.length;
  }
}
