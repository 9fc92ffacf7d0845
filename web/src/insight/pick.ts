// Point at one place on a map: click or touch, or by keys (arrows move the map, Enter marks its centre). Two fields hold it, and may be typed.
import type { GeoJSONSource, Map as LibreMap } from "maplibre-gl";
import { announce } from "../announce.ts";

const CLOSE = 16;

export class PlacePicking {
  private readonly map: LibreMap;
  private readonly longitude: HTMLInputElement;
  private readonly latitude: HTMLInputElement;
  private readonly said: string;

  constructor(map: LibreMap, longitude: HTMLInputElement, latitude: HTMLInputElement, said: string) {
    this.map = map;
    this.longitude = longitude;
    this.latitude = latitude;
    this.said = said;
    const cross = document.createElement("div");
    cross.className = "map-cross";
    map.getContainer().append(cross);
    cross.hidden = true;
    map.getCanvas().addEventListener("focus", () => (cross.hidden = false));
    map.getCanvas().addEventListener("blur", () => (cross.hidden = true));
    map.addSource("place", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
    map.addLayer({ id: "place", type: "circle", source: "place", paint: { "circle-color": "#d12332", "circle-radius": 8, "circle-stroke-color": "#ffffff", "circle-stroke-width": 2 } });
    map.on("click", (event) => this.mark(event.lngLat.lng, event.lngLat.lat));
    map.getCanvas().addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      const { lng, lat } = map.getCenter();
      this.mark(lng, lat);
    });
    for (const input of [longitude, latitude]) input.addEventListener("change", () => this.paint(true));
    this.paint(true);
  }

  private mark(longitude: number, latitude: number): void {
    this.longitude.value = longitude.toFixed(6);
    this.latitude.value = latitude.toFixed(6);
    announce(`${this.said}: ${this.latitude.value}; ${this.longitude.value}`);
    this.paint(false);
  }

  private paint(move: boolean): void {
    const [x, y] = [this.longitude, this.latitude].map((input) => Number(input.value.replace(",", ".")));
    const known = this.longitude.value !== "" && this.latitude.value !== "" && Number.isFinite(x) && Number.isFinite(y) && Math.abs(y!) <= 90 && Math.abs(x!) <= 180;
    const feature = { type: "Feature" as const, geometry: { type: "Point" as const, coordinates: [x!, y!] }, properties: {} };
    (this.map.getSource("place") as GeoJSONSource | undefined)?.setData({ type: "FeatureCollection", features: known ? [feature] : [] });
    if (known && move) this.map.jumpTo({ center: [x!, y!], zoom: Math.max(this.map.getZoom(), CLOSE) });
  }
}
