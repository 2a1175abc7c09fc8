import type { IsoDuration } from './language.ts';

/** The longest duration a flow may state: ten years of 365 days. */
export const longestDurationMs = 3650 * 24 * 3600 * 1000;

/** The notation of `durationMs`, but for the limit of ten years. */
export const durationPattern =
  /^P(?!$)(?:(\d{1,9})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.(\d{1,3}))?S)?)?$/;

const rule = 'write days, hours, minutes and seconds in this order, such as P1D, PT4H, P1DT12H or PT0.5S';

/** A duration that is not written as this language asks. The message holds the text and the rule. */
export class InvalidDuration extends Error {
  override readonly name = 'InvalidDuration';
}

/**
 * Milliseconds of an ISO 8601-1:2019 §5.5.2 duration in days, hours, minutes and seconds. Years, months and weeks are
 * refused: the length of the first two varies, and weeks do not mix with the rest. A day is 24 hours. Only the seconds
 * may have a fraction, to the millisecond.
 * @returns a whole number of milliseconds from 0 to `longestDurationMs`
 * @throws InvalidDuration with the text and the rule it breaks
 */
export function durationMs(text: IsoDuration): number {
  const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
  const match = durationPattern.exec(text);
  if (match === null) throw new InvalidDuration(`${shown} is not a duration: ${rule}.`);
  const [, days = '0', hours = '0', minutes = '0', seconds = '0', fraction = ''] = match;
  const wholeSeconds = ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
  const total = wholeSeconds * 1000 + Number(fraction.padEnd(3, '0'));
  if (total > longestDurationMs) throw new InvalidDuration(`${shown} is longer than ten years (P3650D).`);
  return total;
}
