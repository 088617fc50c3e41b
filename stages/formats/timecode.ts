/** Times as people and files write them. */

/** `HH:MM:SS.mmm`, with the separator that the format wants. */
export function formatTimecode(seconds: number, separator: "." | ","): string {
  const total = Math.max(0, Math.round(seconds * 1000));
  const part = (value: number, digits: number): string => String(value).padStart(digits, "0");
  const hours = Math.floor(total / 3_600_000);
  const minutes = Math.floor(total / 60_000) % 60;
  const rest = Math.floor(total / 1000) % 60;
  return `${part(hours, 2)}:${part(minutes, 2)}:${part(rest, 2)}${separator}${part(total % 1000, 3)}`;
}

/** `00:12:31`, for a quote. */
export function formatClock(seconds: number): string {
  return formatTimecode(Math.floor(seconds), ".").slice(0, -4);
}
