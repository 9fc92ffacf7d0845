// <malha-chart src="spec.json">: a drawing with its table twin; ECharts, only the parts we use.
import { BarChart, LineChart } from "echarts/charts";
import { AriaComponent, DataZoomComponent, GridComponent, LegendComponent, MarkAreaComponent, MarkPointComponent, TooltipComponent } from "echarts/components";
import { type ECharts, init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import "../../styles/insight.css";
import { inline } from "../insight/inline.ts";
import { clock, day, instant, number, quantity } from "../insight/numbers.ts";
import type { ChartSpec } from "../insight/spec.ts";
import { colour } from "../insight/tokens.ts";

use([LineChart, BarChart, GridComponent, TooltipComponent, LegendComponent, MarkAreaComponent, MarkPointComponent, DataZoomComponent, AriaComponent, CanvasRenderer]);

const TABLE_ROWS = 500;
const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3]] as const;

class MalhaChart extends HTMLElement {
  private chart?: ECharts;
  private box?: HTMLElement;
  private watch?: ResizeObserver;
  private spec?: ChartSpec;
  private readonly again = (): void => void this.load();
  private readonly dark = window.matchMedia("(prefers-color-scheme: dark)");

  connectedCallback(): void {
    const live = this.dataset["live"];
    if (live) document.body.addEventListener(`malha-live-${live}`, this.throttled);
    this.dark.addEventListener("change", this.redraw);
    this.twin?.addEventListener("toggle", this.fillTable);
    window.addEventListener("beforeprint", this.fillTable);
    void this.load();
  }

  disconnectedCallback(): void {
    const live = this.dataset["live"];
    if (live) document.body.removeEventListener(`malha-live-${live}`, this.throttled);
    this.dark.removeEventListener("change", this.redraw);
    window.removeEventListener("beforeprint", this.fillTable);
    this.watch?.disconnect();
    this.chart?.dispose();
  }

  static get observedAttributes(): string[] {
    return ["src"];
  }

  attributeChangedCallback(_name: string, before: string | null): void {
    if (before !== null) void this.load();
  }

  // The table twin is made when somebody opens it, or prints.
  private get twin(): HTMLDetailsElement | null {
    return this.querySelector("details:has([data-table])");
  }

  private readonly fillTable = (): void => {
    if (this.spec) this.table(this.spec);
  };

  private next = 0;
  private readonly throttled = (): void => {
    if (this.next) return;
    this.next = window.setTimeout(() => {
      this.next = 0;
      this.again();
    }, 10_000);
  };

  private async load(): Promise<void> {
    const url = this.getAttribute("src");
    if (!url) return;
    this.setAttribute("aria-busy", "true");
    try {
      this.spec = (this.spec ? undefined : inline<ChartSpec>(this)) ?? (await this.asked(url));
      this.draw(this.spec);
      if (this.twin?.open) this.table(this.spec);
    } catch {
      this.dataset["state"] = "failed";
    } finally {
      this.removeAttribute("aria-busy");
    }
  }

  private async asked(url: string): Promise<ChartSpec> {
    const answer = await fetch(url, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    return (await answer.json()) as ChartSpec;
  }

  // A moment later: asked while the theme changes, styles answer with the colours of before, and some keep them.
  private readonly redraw = (): void => {
    window.setTimeout(() => {
      if (this.spec) this.draw(this.spec);
    }, 150);
  };

  private palette(): string[] {
    return Array.from({ length: 8 }, (_, index) => colour(this, `--data-${index + 1}`));
  }

  private draw(spec: ChartSpec): void {
    if (!this.box) {
      this.querySelector("[data-fallback]")?.remove();
      this.box = document.createElement("div");
      this.box.className = "chart-box";
      this.box.setAttribute("role", "img");
      this.prepend(this.box);
      this.chart = init(this.box, undefined, { renderer: "canvas" });
      this.watch = new ResizeObserver(([entry]) => {
        const { width, height } = entry!.contentRect; // the first call says what it is already
        if (Math.round(width) !== this.chart?.getWidth() || Math.round(height) !== this.chart.getHeight()) this.chart?.resize();
      });
      this.watch.observe(this.box);
    }
    this.box.setAttribute("aria-label", this.summary(spec));
    const text = colour(this, "--text");
    const quiet = colour(this, "--text-2");
    const line = colour(this, "--grid");
    const size = Math.round(parseFloat(getComputedStyle(this).fontSize) * 0.8) || 13;
    const fromZero = spec.kind !== "line";
    const zone = spec.x.zone;
    const values = spec.series.flatMap((one) => one.points.map((point) => point[1])).filter((value): value is number => value !== null);
    const instants = spec.series.flatMap((one) => one.points.map((point) => point[0]));
    const long = Math.max(...instants) - Math.min(...instants) > 3 * 86_400_000;
    this.chart?.setOption(
      {
        animation: false,
        color: this.palette(),
        aria: { enabled: false },
        textStyle: { fontSize: size, fontFamily: "Noto Sans, sans-serif", color: text },
        grid: { left: 8, right: 16, top: (spec.series.length > 1 ? 3.5 : 2.4) * size, bottom: 8, containLabel: true },
        legend: spec.series.length > 1 ? { top: 0, textStyle: { color: text }, itemWidth: 28 } : undefined,
        tooltip: {
          trigger: "axis",
          renderMode: "richText", // drawn on the canvas: no inline style for the content security policy to refuse
          confine: true,
          formatter: (items: { value: [number, number | null]; seriesName: string }[]) =>
            [
              instant(items[0]!.value[0], zone),
              ...items.map((item) => `${item.seriesName}: ${quantity(item.value[1], spec.unit, spec.decimals)}`),
              ...(spec.marks ?? []).filter((mark) => mark.at === items[0]!.value[0]).map((mark) => mark.text),
            ].join("\n"),
        },
        xAxis: {
          type: "time",
          axisLine: { lineStyle: { color: quiet } },
          axisLabel: { color: quiet, fontSize: size, hideOverlap: true, formatter: (value: number) => (long ? day(value, zone, false) : clock(value, zone)) },
          splitLine: { show: false },
        },
        yAxis: {
          type: "value",
          scale: !fromZero,
          name: spec.unit,
          nameTextStyle: { color: quiet, fontSize: size, align: "left" },
          axisLabel: { color: quiet, fontSize: size, formatter: (value: number) => number(value) },
          splitLine: { lineStyle: { color: line } },
        },
        series: spec.series.map((one, index) => ({
          name: one.name,
          type: spec.kind === "bar" ? "bar" : "line",
          data: one.points,
          showSymbol: one.points.length < 40,
          symbolSize: 5,
          connectNulls: false,
          areaStyle: spec.kind === "area" ? { opacity: 0.18 } : undefined,
          lineStyle: { width: 2, type: DASHES[index % DASHES.length] },
          sampling: "lttb",
          markPoint: this.corrected(spec, index, text),
          markArea: index === 0 ? this.bands(spec, quiet, Math.max(...values)) : undefined,
        })),
      },
      true,
    );
    const range = this.querySelector("[data-range]");
    if (range && !fromZero && values.length) {
      range.textContent = `${spec.words["range"] ?? ""} ${quantity(Math.min(...values), spec.unit, spec.decimals)} – ${quantity(Math.max(...values), spec.unit, spec.decimals)}`;
    }
    this.dataset["state"] = values.length ? "drawn" : "empty";
  }

  // Only bands that the values come near: one far above would be drawn at the edge, as if it were reached.
  private bands(spec: ChartSpec, text: string, highest: number): object | undefined {
    const near = (spec.bands ?? []).filter((band) => band.from === null || band.from < highest);
    if (!near.length) return undefined;
    return {
      silent: true,
      label: { color: text, position: "insideTopRight", fontSize: 12 },
      data: near.map((band) => [
        { name: band.label, yAxis: band.from ?? "min", itemStyle: { color: colour(this, `--severity-${band.severity}`), opacity: 0.14 } },
        { yAxis: band.to ?? "max" },
      ]),
    };
  }

  // A corrected value is drawn apart: a hollow diamond around the point, whose words stand in the tooltip and in the table.
  private corrected(spec: ChartSpec, index: number, ink: string): object | undefined {
    const marks = (spec.marks ?? []).filter((mark) => mark.series === index);
    if (!marks.length) return undefined;
    return {
      symbol: "diamond",
      symbolSize: 14,
      silent: true,
      label: { show: false },
      itemStyle: { color: "transparent", borderColor: ink, borderWidth: 2 },
      data: marks.map((mark) => ({ coord: [mark.at, mark.value] })),
    };
  }

  private summary(spec: ChartSpec): string {
    const zone = spec.x.zone;
    const sentences = spec.series.map((one) => {
      const known = one.points.filter((point): point is [number, number] => point[1] !== null);
      const last = known.at(-1);
      if (!last) return `${one.name}: ${spec.words["none"] ?? "—"}`;
      const numbers = known.map((point) => point[1]);
      return `${one.name}: ${quantity(last[1], spec.unit, spec.decimals)} (${instant(last[0], zone)}); ${quantity(Math.min(...numbers), spec.unit, spec.decimals)} – ${quantity(Math.max(...numbers), spec.unit, spec.decimals)}`;
    });
    const marks = spec.marks?.length ? ` ${spec.words["corrected"] ?? ""}: ${spec.marks.length}.` : "";
    return `${spec.title}. ${sentences.join(". ")}${marks}`;
  }

  private table(spec: ChartSpec): void {
    const place = this.querySelector("[data-table]");
    if (!place) return;
    const rows = new Map<number, (number | null)[]>();
    spec.series.forEach((one, index) => {
      for (const [at, value] of one.points) {
        const row = rows.get(at) ?? spec.series.map(() => null);
        row[index] = value;
        rows.set(at, row);
      }
    });
    const table = document.createElement("table");
    table.className = "table";
    const caption = table.createCaption();
    caption.textContent = spec.title;
    caption.className = "visually-hidden";
    const head = table.createTHead().insertRow();
    for (const [index, label] of [spec.words["when"] ?? "", ...spec.series.map((one) => one.name)].entries()) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = index && spec.unit ? `${label} (${spec.unit})` : label;
      if (index) cell.className = "numeric";
      head.append(cell);
    }
    const marks = new Map((spec.marks ?? []).map((mark) => [mark.at, mark.text]));
    if (marks.size) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = spec.words["corrected"] ?? "";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const [at, row] of [...rows.entries()].sort((a, b) => b[0] - a[0]).slice(0, TABLE_ROWS)) {
      const line = body.insertRow();
      const heading = document.createElement("th");
      heading.scope = "row";
      heading.textContent = instant(at, spec.x.zone);
      line.append(heading);
      for (const value of row) {
        const cell = line.insertCell();
        cell.className = "numeric";
        cell.textContent = number(value, spec.decimals);
      }
      if (marks.size) line.insertCell().textContent = marks.get(at) ?? "";
    }
    place.replaceChildren(table);
  }
}

customElements.define("malha-chart", MalhaChart);
