/** What one row of the bench found, and how that stands to its budget (DESIGN section 9). */

export interface Budget {
  readonly is: 'at least' | 'at most';
  readonly value: number;
}

export interface Finding {
  /** What was measured, in words. */
  readonly what: string;
  /** The figure that the budget is about: a ratio to the baseline of the same run unless `unit` says otherwise. */
  readonly value: number;
  readonly unit: '×' | 'ms' | 's' | '/s' | 'events';
  /** Left out: told, but nothing was promised about it. */
  readonly budget?: Budget;
  /** The subject's and the baseline's own figures with their units. They depend on the machine; the ratio much less. */
  readonly subject: string;
  readonly baseline: string;
  readonly spread?: Spread;
  /** What a reader must know beside the figures. */
  readonly note?: string;
}

/** Over the rounds that were counted; warm-up rounds are not. */
export interface Spread {
  readonly lowest: number;
  readonly highest: number;
  readonly rounds: number;
}

export function isMet({ value, budget }: Finding): boolean | undefined {
  if (budget === undefined) return undefined;
  return budget.is === 'at least' ? value >= budget.value : value <= budget.value;
}

/** `missed by 31 %`: how far the figure would have to move, of what the budget allows. */
export function missedBy({ value, budget }: Finding & { readonly budget: Budget }): string {
  const distance = Math.abs(value - budget.value) / budget.value;
  return Number.isFinite(distance) ? `${Math.ceil(distance * 100)} %` : String(value);
}

/** `0.87 ×`, `12 ms`, `4200 /s`, `36 events`: three significant digits, counts in full. */
export function figure(value: number, unit: Finding['unit']): string {
  return `${unit === 'events' ? value : rounded(value)} ${unit}`;
}

/** Three significant digits without an exponent. */
export function rounded(value: number): string {
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 6));
}
