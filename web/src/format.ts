// Numbers and times as people read them: every number with its unit, every time with its zone.

/** Nanoseconds since the epoch, as the one JSON form has them. */
export type Time = string;

/** A 64-bit integer as the one JSON form has it; answers of older servers may hold a number. */
export type Int = string | number;

/** What stands where nothing is known. */
export const UNKNOWN = "–";

export function num(value: Int | null | undefined): number | undefined {
  if (value === null || value === undefined || value === "") return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

/** Milliseconds since the epoch; exact to a microsecond. */
export function millis(time: Time): number {
  return Number(BigInt(time) / 1000n) / 1000;
}

/** The nanoseconds of a moment given in milliseconds. */
export function nanos(millis: number): Time {
  return String(BigInt(Math.round(millis * 1000)) * 1000n);
}

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** `12,345` */
export function whole(value: Int | null | undefined): string {
  const number = num(value);
  return number === undefined ? UNKNOWN : WHOLE.format(number);
}

/** Three digits and no more: `7`, `0.42`, `12.3`. */
function three(number: number): string {
  const size = Math.abs(number);
  if (size >= 100 || Number.isInteger(number)) return number.toFixed(0);
  return size >= 10 ? number.toFixed(1) : number.toFixed(2);
}

function scaled(number: number, base: number, units: readonly string[]): string {
  let i = 0;
  // what rounds to 1000 is one of the next unit
  while (i < units.length - 1 && Math.abs(number) >= base * 0.9995) {
    number /= base;
    i += 1;
  }
  return `${three(number)} ${units[i] ?? ""}`.trim();
}

/** `950`, `12.3 k`, `4.56 M` */
export function short(value: Int | null | undefined): string {
  const number = num(value);
  return number === undefined ? UNKNOWN : scaled(number, 1000, ["", "k", "M", "G", "T"]);
}

/** `82 B`, `1.23 kB`; a kB is 1000 bytes. */
export function bytes(value: Int | null | undefined): string {
  const number = num(value);
  return number === undefined ? UNKNOWN : scaled(number, 1000, ["B", "kB", "MB", "GB", "TB"]);
}

/** Virtual size of transactions: `141 vB`, `1.20 MvB`. */
export function vbytes(value: Int | null | undefined): string {
  const number = num(value);
  return number === undefined ? UNKNOWN : scaled(number, 1000, ["vB", "kvB", "MvB", "GvB"]);
}

/** Something per second: `12.3/s`. */
export function perSecond(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  return `${value > 0 && value < 0.01 ? "<0.01" : short(value)}/s`;
}

/** Nanoseconds as the unit that fits: `502 µs`, `1.45 ms`, `3.20 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(value: Int | null | undefined): string {
  const number = num(value);
  if (number === undefined) return UNKNOWN;
  if (number < 0) return `−${duration(-number)}`;
  // 59.999 s is a minute
  if (number < 59.995e9) return scaled(number, 1000, ["ns", "µs", "ms", "s"]);
  const seconds = Math.round(number / 1e9);
  const two = (big: number, unit: string, small: number, of: string) =>
    small === 0 ? `${big} ${unit}` : `${big} ${unit} ${small} ${of}`;
  if (seconds < 3600) return two(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return two(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.floor(minutes / 60);
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** From one moment to another, as {@link duration}. */
export function between(from: Time, to: Time): string {
  return duration(String(BigInt(to) - BigInt(from)));
}

export type Zone = "utc" | "local";
let zone: Zone = "utc";

/** Which zone times are shown in from now on. */
export function useZone(chosen: Zone): void {
  zone = chosen;
}

/** `UTC`, `UTC+2`, `UTC−3:30`: the zone of what {@link clock} and {@link moment} say of this moment. */
export function zoneName(at: number): string {
  if (zone === "utc") return "UTC";
  const offset = -new Date(at).getTimezoneOffset();
  if (offset === 0) return "UTC";
  const size = Math.abs(offset);
  const minutes = size % 60;
  return `UTC${offset < 0 ? "−" : "+"}${Math.floor(size / 60)}${minutes === 0 ? "" : `:${String(minutes).padStart(2, "0")}`}`;
}

const pad = (number: number, digits = 2) => String(number).padStart(digits, "0");

function parts(at: number): { day: string; clock: string } {
  const date = new Date(at);
  return zone === "utc"
    ? {
        day: `${date.getUTCFullYear()}-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}`,
        clock: `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}:${pad(date.getUTCSeconds())}`,
      }
    : {
        day: `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`,
        clock: `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`,
      };
}

/** `10:58:16.093`; the page says the zone once. `digits` of the second: 0, 3 or 6. */
export function clock(time: Time | null | undefined, digits: 0 | 3 | 6 = 3): string {
  if (!time) return UNKNOWN;
  const fraction = pad(Number(BigInt(time) % 1_000_000_000n), 9).slice(0, digits);
  return parts(millis(time)).clock + (digits === 0 ? "" : `.${fraction}`);
}

/** `2026-11-22` */
export function day(time: Time): string {
  return parts(millis(time)).day;
}

/** `2026-11-22 10:58:16 UTC` */
export function moment(time: Time | null | undefined): string {
  if (!time) return UNKNOWN;
  const at = millis(time);
  const { day, clock } = parts(at);
  return `${day} ${clock} ${zoneName(at)}`;
}

/** A moment as the one JSON form's text, for links: `2026-11-22T10:58:16.093Z`. */
export function rfc3339(time: Time): string {
  return new Date(millis(time)).toISOString();
}

/** The nanoseconds of an RFC 3339 text; absent where it is none. */
export function parseMoment(text: string): Time | undefined {
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : nanos(at);
}

/** A hash short enough for a table: the end of a block's, which differs, the start of any other. */
export function hash(value: string | null | undefined, which: "block" | "transaction" = "transaction"): string {
  if (!value) return UNKNOWN;
  if (value.length <= 16) return value;
  return which === "block" ? `…${value.slice(-12)}` : `${value.slice(0, 12)}…`;
}

/** A fee rate in sat/vB from what BIP 133 carries: sat per 1000 vB. */
export function feeRate(value: Int | null | undefined): string {
  const number = num(value);
  return number === undefined ? UNKNOWN : `${three(number / 1000)} sat/vB`;
}

/** `37 %` */
export function percent(share: number | undefined): string {
  return share === undefined || Number.isNaN(share) ? UNKNOWN : `${three(share * 100)} %`;
}

/** A word of the schema as people write it: `outbound_full_relay` is `outbound full relay`. */
export function words(value: string | null | undefined): string {
  return value ? value.replaceAll("_", " ") : UNKNOWN;
}

/** `1 peer`, `2 peers`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : many}`;
}
