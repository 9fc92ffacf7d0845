// Numbers, instants and spans as people write them: the twin of src/malha/kernel/formats.py, held equal by a test.
// No browser here: plain functions of their arguments, so that Node can run them too.

export type Language = "pt" | "en";

export const NO_VALUE = "—";
const NBSP = "\u00a0";
const MONTHS: Record<Language, readonly string[]> = {
  pt: ["jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."],
  en: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"],
};
const ZONES: Record<Language, Record<string, string>> = {
  pt: { "Europe/Lisbon": "hora de Lisboa", "Atlantic/Azores": "hora dos Açores", "Atlantic/Madeira": "hora da Madeira", UTC: "UTC" },
  en: { "Europe/Lisbon": "Lisbon time", "Atlantic/Azores": "Azores time", "Atlantic/Madeira": "Madeira time", UTC: "UTC" },
};
const SEASONS: Record<Language, readonly [string, string]> = { pt: ["hora de verão", "hora de inverno"], en: ["summer time", "winter time"] };
const SPANS: Record<Language, readonly (readonly [number, string, string])[]> = {
  pt: [[31536000, "ano", "anos"], [2592000, "mês", "meses"], [86400, "dia", "dias"], [3600, "hora", "horas"], [60, "minuto", "minutos"]],
  en: [[31536000, "year", "years"], [2592000, "month", "months"], [86400, "day", "days"], [3600, "hour", "hours"], [60, "minute", "minutes"]],
};

// The decimal digits that a number was sent with, and how many of them stand before the point.
function digitsOf(value: number): [string, number] {
  const [mantissa = "0", exponent = "0"] = String(Math.abs(value)).split("e");
  const [whole = "0", fraction = ""] = mantissa.split(".");
  return [whole + fraction, whole.length + Number(exponent)];
}

// `value` rounded to `decimals`, halves away from zero, on the digits that were sent (never on the binary fraction).
function rounded(value: number, decimals: number): [string, string] {
  let [digits, point] = digitsOf(value);
  if (point <= 0) {
    digits = "0".repeat(1 - point) + digits;
    point = 1;
  }
  digits = digits.padEnd(point, "0");
  const keep = point + decimals;
  let kept = BigInt(digits.slice(0, keep).padEnd(keep, "0"));
  if ((digits[keep] ?? "0") >= "5") kept += 1n;
  const text = kept.toString().padStart(decimals + 1, "0");
  return decimals ? [text.slice(0, -decimals), text.slice(-decimals)] : [text, ""];
}

export function number(value: number | null | undefined, decimals?: number | null, language: Language = "pt"): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NO_VALUE;
  const free = decimals === null || decimals === undefined;
  let [whole, fraction] = rounded(value, free ? 2 : decimals);
  const zero = /^0*$/.test(whole + fraction);
  if (free) fraction = fraction.replace(/0+$/, "");
  const english = language === "en";
  if (whole.length > (english ? 3 : 4)) whole = whole.replace(/\B(?=(\d{3})+$)/g, english ? "," : NBSP);
  const text = fraction ? `${whole}${english ? "." : ","}${fraction}` : whole;
  return value < 0 && !zero ? `-${text}` : text;
}

export function quantity(value: number | null | undefined, symbol?: string | null, decimals?: number | null, language: Language = "pt"): string {
  const text = number(value, decimals, language);
  return symbol && text !== NO_VALUE ? `${text}${NBSP}${symbol}` : text;
}

interface Wall {
  year: number;
  month: number;
  day: number;
  time: string;
}

const QUARTER_MS = 900_000; // zones change at whole quarters of an hour
const makers = new Map<string, Intl.DateTimeFormat>();
const offsets = new Map<string, number>();

// How far the zone is ahead of UTC, kept for each quarter: asking Intl costs more than all the rest of a label.
function offset(epochMs: number, zone: string): number {
  const start = Math.floor(epochMs / QUARTER_MS) * QUARTER_MS;
  const key = `${zone} ${start}`;
  const known = offsets.get(key);
  if (known !== undefined) return known;
  let maker = makers.get(zone);
  if (!maker) {
    maker = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
    });
    makers.set(zone, maker);
  }
  const part = Object.fromEntries(maker.formatToParts(start).map(({ type, value }) => [type, Number(value)]));
  const found = Date.UTC(part["year"]!, part["month"]! - 1, part["day"], part["hour"], part["minute"], part["second"]) - start;
  if (offsets.size > 5000) offsets.clear();
  offsets.set(key, found);
  return found;
}

const two = (value: number): string => String(value).padStart(2, "0");

function wall(epochMs: number, zone: string, seconds = true): Wall {
  const local = new Date(epochMs + offset(epochMs, zone));
  const time = `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}`;
  return {
    year: local.getUTCFullYear(), month: local.getUTCMonth() + 1, day: local.getUTCDate(),
    time: seconds ? `${time}:${two(local.getUTCSeconds())}` : time,
  }; // prettier-ignore
}

function sameWall(one: Wall, other: Wall): boolean {
  return one.time === other.time && one.day === other.day && one.month === other.month && one.year === other.year;
}

export function day(epochMs: number, zone: string, language: Language = "pt", withYear = true): string {
  const local = wall(epochMs, zone);
  const text = `${local.day} ${MONTHS[language][local.month - 1]}`;
  return withYear ? `${text} ${local.year}` : text;
}

export function clock(epochMs: number, zone: string, language: Language = "pt", seconds = false): string {
  const text = wall(epochMs, zone, seconds).time;
  const here = wall(epochMs, zone);
  if (sameWall(here, wall(epochMs + 3600000, zone))) return `${text} (${SEASONS[language][0]})`;
  if (sameWall(here, wall(epochMs - 3600000, zone))) return `${text} (${SEASONS[language][1]})`;
  return text;
}

export function instant(epochMs: number | null | undefined, zone: string, language: Language = "pt", named = false): string {
  if (epochMs === null || epochMs === undefined) return NO_VALUE;
  const text = `${day(epochMs, zone, language)}, ${clock(epochMs, zone, language)}`;
  return named ? `${text}, ${ZONES[language][zone] ?? zone}` : text;
}

export function ago(epochMs: number | null | undefined, nowMs: number, language: Language = "pt"): string {
  if (epochMs === null || epochMs === undefined) return NO_VALUE;
  const seconds = (nowMs - epochMs) / 1000;
  for (const [size, one, many] of SPANS[language]) {
    const count = Math.floor(Math.abs(seconds) / size);
    if (count) {
      const span = `${count} ${count === 1 ? one : many}`;
      if (language === "en") return seconds > 0 ? `${span} ago` : `in ${span}`;
      return seconds > 0 ? `há ${span}` : `daqui a ${span}`;
    }
  }
  return language === "en" ? "just now" : "agora mesmo";
}
