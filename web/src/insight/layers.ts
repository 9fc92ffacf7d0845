// From a layer of the spec to MapLibre layers; which features the legend lets through.
import type * as GeoJSON from "geojson";
import type { ExpressionSpecification, GeoJSONSourceSpecification, LayerSpecification } from "maplibre-gl";
import type { LayerSpec, LegendItem } from "./spec.ts";

export type Feature = GeoJSON.Feature<GeoJSON.Geometry, Record<string, unknown>>;

const NO_DATA = "#9ca6b8";

export function colourOf(layer: LayerSpec): string | ExpressionSpecification {
  const { property, stops, categories } = layer.colour;
  const none = layer.colour.default ?? NO_DATA;
  if (categories && Object.keys(categories).length) {
    return ["match", ["to-string", ["get", property]], ...Object.entries(categories).flat(), none] as unknown as ExpressionSpecification;
  }
  if (stops?.length) {
    const [first, ...rest] = stops;
    const step = rest.length ? ["step", ["get", property], first![1], ...rest.flat()] : first![1];
    return ["case", ["==", ["typeof", ["get", property]], "number"], step, none] as unknown as ExpressionSpecification;
  }
  return none;
}

// Worse is also larger, so that colour is never the only sign.
function radiusOf(layer: LayerSpec, scale: number): number | ExpressionSpecification {
  const stops = layer.colour.stops ?? [];
  if (stops.length < 2) return 7 * scale;
  const [, ...rest] = stops;
  const steps = ["step", ["get", layer.colour.property], 6 * scale, ...rest.flatMap((stop, index) => [stop[0], (7 + index * 1.5) * scale])];
  return ["case", ["==", ["typeof", ["get", layer.colour.property]], "number"], steps, 5 * scale] as unknown as ExpressionSpecification;
}

// The greatest value inside a group, so that what is bad shows on the group that hides it.
const WORST = "worst";

export function grouping(layer: LayerSpec): Partial<GeoJSONSourceSpecification> {
  if (layer.kind !== "cluster") return {};
  const value = ["get", layer.colour.property];
  const counted = ["case", ["==", ["typeof", value], "number"], value, -1e12];
  return { cluster: true, clusterRadius: 26, clusterMaxZoom: 12, clusterProperties: { [WORST]: ["max", counted] } };
}

// Groups of several layers stand side by side around the place that they share.
export function beside(index: number, of: number): [number, number] {
  if (of < 2) return [0, 0];
  const turn = (2 * Math.PI * index) / of - Math.PI / 2;
  const far = Math.min(7 * of, 32);
  return [Math.round(Math.cos(turn) * far), Math.round(Math.sin(turn) * far)];
}

export function drawn(layer: LayerSpec, ink: string, paper: string, scale = 1, aside: [number, number] = [0, 0]): LayerSpecification[] {
  const source = { source: layer.id, ...(layer.tiles ? { "source-layer": layer.source_layer ?? "entities" } : {}) };
  const single = ["!", ["has", "point_count"]] as unknown as ExpressionSpecification;
  if (layer.kind === "fill") {
    return [
      { id: `${layer.id}:fill`, type: "fill", ...source, paint: { "fill-color": colourOf(layer), "fill-opacity": 0.35 } },
      { id: `${layer.id}:edge`, type: "line", ...source, paint: { "line-color": colourOf(layer), "line-width": 1.5 } },
    ];
  }
  if (layer.kind === "line") return [{ id: `${layer.id}:line`, type: "line", ...source, paint: { "line-color": colourOf(layer), "line-width": 3 } }];
  const circles: LayerSpecification[] = [
    {
      id: `${layer.id}:circle`,
      type: "circle",
      ...source,
      ...(layer.tiles ? {} : { filter: single }),
      paint: { "circle-color": colourOf(layer), "circle-radius": radiusOf(layer, scale), "circle-stroke-color": paper, "circle-stroke-width": 1.5 },
    },
  ];
  if (layer.kind !== "cluster" || layer.tiles) return circles;
  const grouped = ["has", "point_count"] as unknown as ExpressionSpecification;
  return [
    ...circles,
    {
      id: `${layer.id}:cluster`,
      type: "circle",
      ...source,
      filter: grouped,
      paint: {
        "circle-color": paper,
        "circle-stroke-color": layer.colour.stops?.length ? colourOf({ ...layer, colour: { ...layer.colour, property: WORST } }) : ink,
        "circle-stroke-width": 3,
        "circle-translate": aside,
        "circle-radius": ["step", ["get", "point_count"], 13 * scale, 20, 17 * scale, 100, 22 * scale] as unknown as ExpressionSpecification,
      },
    },
    {
      id: `${layer.id}:count`,
      type: "symbol",
      ...source,
      filter: grouped,
      layout: { "text-field": ["to-string", ["get", "point_count"]] as unknown as ExpressionSpecification, "text-size": 13 * scale, "text-allow-overlap": true },
      paint: { "text-color": ink, "text-translate": aside },
    },
  ];
}

export function belongs(item: LegendItem, layer: LayerSpec, properties: Record<string, unknown>): boolean {
  const value = properties[layer.colour.property];
  if (item.range) {
    if (typeof value !== "number") return false;
    const [from, to] = item.range;
    return (from === null || value >= from) && (to === null || value < to);
  }
  if (item.value !== undefined) return String(value) === String(item.value);
  return true;
}

// A feature that no item of the legend describes ("no data") passes unless the whole layer is off.
export function passes(layer: LayerSpec, off: Set<number>, properties: Record<string, unknown>): boolean {
  const mine = layer.legend.findIndex((item) => belongs(item, layer, properties));
  return mine < 0 || !off.has(mine);
}

// What is drawn of a value: its colour, its size and whether the legend lets it through.
function classOf(layer: LayerSpec, properties: Record<string, unknown>): string {
  const { property, stops, categories } = layer.colour;
  const value = properties[property];
  const mine = layer.legend.findIndex((item) => belongs(item, layer, properties));
  if (categories || !stops) return `${mine} ${String(value)}`;
  return `${mine} ${typeof value === "number" ? stops.filter((stop) => value >= stop[0]).length : "none"}`;
}

// Whether a feature looks as it did before.
export function alike(layer: LayerSpec, before: Feature | undefined, after: Feature): boolean {
  return (
    before !== undefined &&
    classOf(layer, before.properties) === classOf(layer, after.properties) &&
    JSON.stringify(before.geometry) === JSON.stringify(after.geometry)
  );
}
