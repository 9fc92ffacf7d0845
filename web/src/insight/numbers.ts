// Numbers and hours as the server writes them (kernel.formats): 1234,5 and 12 345,6; `22 nov. 2026, 14:05`.

const MONTHS: Record<string, string[]> = {
  pt: ["jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."],
  en: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"],
};

export function language(): "pt" | "en" {
  return document.documentElement.lang.startsWith("en") ? "en" : "pt";
}

export function number(value: number | null | undefined, decimals?: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  const english = language() === "en";
  const shift = 10 ** (decimals ?? 2);
  // halves away from zero, on the digits that were sent
  const rounded = (Math.sign(value) * Math.round(Number((Math.abs(value) * shift).toPrecision(15)))) / shift;
  let [whole = "0", fraction = ""] = Math.abs(rounded).toFixed(decimals ?? 2).split(".");
  if (decimals === undefined) fraction = fraction.replace(/0+$/, "");
  if (whole.length > (english ? 3 : 4)) whole = whole.replace(/\B(?=(\d{3})+$)/g, english ? "," : "\u00a0");
  const text = fraction ? `${whole}${english ? "." : ","}${fraction}` : whole;
  return rounded < 0 ? `-${text}` : text;
}

export function quantity(value: number | null | undefined, unit?: string, decimals?: number): string {
  const text = number(value, decimals);
  return unit && text !== "—" ? `${text}\u00a0${unit}` : text;
}

function parts(moment: number, zone: string): Record<string, string> {
  const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, year: "numeric", month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });
  return Object.fromEntries(format.formatToParts(moment).map((part) => [part.type, part.value]));
}

export function clock(moment: number, zone: string): string {
  const p = parts(moment, zone);
  return `${p["hour"]}:${p["minute"]}`;
}

export function day(moment: number, zone: string, withYear = true): string {
  const p = parts(moment, zone);
  const text = `${p["day"]} ${MONTHS[language()]![Number(p["month"]) - 1]}`;
  return withYear ? `${text} ${p["year"]}` : text;
}

export function instant(moment: number, zone: string): string {
  return `${day(moment, zone)}, ${clock(moment, zone)}`;
}
