// What the server sends to <malha-map> and <malha-chart>.
import type * as GeoJSON from "geojson";

export interface LegendItem {
  label: string;
  colour: string;
  shape?: "circle" | "square" | "line";
  value?: string | number;
  range?: [number | null, number | null];
}

export interface Colour {
  property: string;
  default?: string;
  stops?: [number, string][]; // from this value on, this colour
  categories?: Record<string, string>;
}

export interface LayerSpec {
  id: string;
  label: string;
  type?: string; // entity type, for live changes
  kind: "circle" | "fill" | "line" | "symbol" | "cluster";
  data?: string;
  tiles?: string;
  source_layer?: string;
  colour: Colour;
  legend: LegendItem[];
  popup: { property: string; label: string; unit?: string }[];
  unit?: string;
  decimals?: number;
  visible?: boolean;
}

// Several layers of one moment, features by layer.
export interface Together {
  at: string;
  whole: boolean;
  layers: Record<string, GeoJSON.Feature<GeoJSON.Geometry, Record<string, unknown>>[]>;
}

export interface MapSpec {
  extent: [number, number, number, number];
  layers: LayerSpec[];
  live?: string;
  basemap?: string;
  boundary?: string;
  together?: string; // answers for several layers at once: ?camadas=a,b
  preload?: string; // what is asked of it first, so that the page can ask already
  first?: Together; // what lies on it, where the page brought it along
  words: Record<string, string>;
}

export interface ChartSpec {
  kind: "line" | "bar" | "area";
  title: string;
  unit: string;
  decimals?: number;
  x: { type: "time"; zone: string };
  series: { name: string; points: [number, number | null][] }[];
  source?: string;
  updated?: string;
  bands?: { from: number | null; to: number | null; label: string; severity: string }[];
  marks?: { series: number; at: number; value: number; text: string }[]; // values that were corrected
  words: Record<string, string>;
}
