import type { Draft } from './draft.ts';

/** A freeze kept this request from begin or commit. Only its first refusal is told: nudges ask again and again. */
export function noteRefusal(draft: Draft, what: 'begin' | 'commit'): void {
  const known = draft.state.effect.refusedBy ?? [];
  const freezes = draft.facts.holds.filter(({ kind }) => kind === 'freeze');
  const freezeIds = freezes.map(({ id }) => id).filter((id) => !known.includes(id));
  if (freezeIds.length === 0) return;
  draft.setEffect({ refusedBy: [...known, ...freezeIds] });
  draft.change({ change: 'stopped-by-freeze', freezeIds, what });
}
