/**
 * How a group is named where a rule is written: roles of tenure.yaml, flows, invariants. `group:security`, or, for a name as
 * a provider of sign-in has it, in quotes: `group:"SG Platform Admins"`. Each name has exactly one spelling (quotes only where
 * they are needed), so that rules can be compared as text.
 */

const bareName = '[a-z0-9][a-z0-9._-]{0,62}';
/** Visible characters and single spaces inside: nothing that hides, reorders or breaks the line a reviewer reads. */
const quotedName = `(?!${bareName}")(?! )(?:[\\p{L}\\p{M}\\p{N}\\p{S}]|(?!")\\p{P}| (?![ "])){1,200}`;

/** For JSON Schema (ECMA-262 with `u`). */
export const groupReferencePattern = `^group:(?:${bareName}|"${quotedName}")$`;

const reference = new RegExp(groupReferencePattern, 'u');
const bare = new RegExp(`^${bareName}$`, 'u');

export const groupReferenceForm =
  'write a group as group:<name> in lower-case ASCII, or any other name in double quotes: group:"SG Platform Admins"';

/** Whether a rule may name a group so. Letters of two alphabets in one name look like another name, and are refused. */
export function isGroupReference(text: string): boolean {
  return reference.test(text) && text === text.normalize() && !mixesAlphabets(text);
}

/** Whether any rule could name this group: what is taken from a provider or a list must be able to count somewhere. */
export function isGroupName(name: string): boolean {
  return isGroupReference(referenceTo(name));
}

/** The one spelling by which rules name this group. */
export function referenceTo(name: string): string {
  return bare.test(name) ? `group:${name}` : `group:"${name}"`;
}

/** The group that a rule names; undefined for `owner` and whatever else is no group. */
export function groupNamed(source: string): string | undefined {
  if (!isGroupReference(source)) return undefined;
  const name = source.slice('group:'.length);
  return name.startsWith('"') ? name.slice(1, -1) : name;
}

function mixesAlphabets(text: string): boolean {
  const letters = text.slice('group:'.length).match(/\p{L}/gu) ?? [];
  const latin = letters.filter((letter) => /\p{Script=Latin}/u.test(letter));
  return latin.length > 0 && latin.length < letters.length;
}
