// Numbers and times as people read them. What was not measured is a dash, never a zero.

export const NOTHING = "–";

type Measured = number | null | undefined;

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345 */
export function count(value: Measured): string {
  return value === null || value === undefined ? NOTHING : whole.format(value);
}

/** 12.3 k, 4.56 M: three digits and a power of a thousand. */
export function short(value: Measured, unit = ""): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  const steps = ["", "k", "M", "G", "T", "P"];
  let step = 0;
  let scaled = Math.abs(value);
  while (scaled >= 999.5 && step < steps.length - 1) {
    scaled /= 1000;
    step += 1;
  }
  const digits = step === 0 ? (Number.isInteger(scaled) ? 0 : 1) : Math.max(0, 2 - Math.floor(Math.log10(scaled)));
  const sign = value < 0 ? "−" : "";
  return `${sign}${scaled.toFixed(digits)} ${steps[step]}${unit}`.trim();
}

/** A share of one as a percentage with so many digits behind the point. */
export function percent(share: Measured, digits = 1): string {
  return share === null || share === undefined || !Number.isFinite(share) ? NOTHING : `${(share * 100).toFixed(digits)} %`;
}

/** A number of any size in at most `digits` significant digits. */
export function plain(value: Measured, digits = 4): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  return new Intl.NumberFormat("en", { maximumSignificantDigits: digits }).format(value);
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** 2026-09-21 14:03:22, in the time of the reader. */
export function moment(text: string | null | undefined): string {
  if (!text) return NOTHING;
  const at = new Date(text);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(text)}`;
}

/** 14:03:22 */
export function clock(text: string): string {
  const at = new Date(text);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** 3 d 4 h, 12 min 5 s, 1.2 ms */
export function span(seconds: Measured): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  if (seconds < 1e-3) return `${plain(seconds * 1e6, 3)} µs`;
  if (seconds < 1) return `${plain(seconds * 1e3, 3)} ms`;
  if (seconds < 60) return `${plain(seconds, 3)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** An address with its port; IPv6 in brackets. */
export function endpoint(address: string | null, port: number | null): string {
  if (address === null) return port === null ? "many" : `many:${port}`;
  if (port === null) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
