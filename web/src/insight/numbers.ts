// Numbers and hours in the language of the page: `formats.ts` with what the page already knows.
import * as formats from "../formats.ts";

export function language(): formats.Language {
  return document.documentElement.lang.startsWith("en") ? "en" : "pt";
}

export function number(value: number | null | undefined, decimals?: number): string {
  return formats.number(value, decimals, language());
}

export function quantity(value: number | null | undefined, unit?: string, decimals?: number): string {
  return formats.quantity(value, unit, decimals, language());
}

export function clock(moment: number, zone: string): string {
  return formats.clock(moment, zone, language());
}

export function day(moment: number, zone: string, withYear = true): string {
  return formats.day(moment, zone, language(), withYear);
}

export function instant(moment: number, zone: string): string {
  return formats.instant(moment, zone, language());
}
