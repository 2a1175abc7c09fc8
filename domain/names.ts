/**
 * Names of identities. People choose them, approvers read them, so two names that look alike must not pass as two
 * (after UTS 39, "Unicode Security Mechanisms": allowed characters, one script, a skeleton that look-alikes share).
 */

export type ParsedName =
  | { readonly ok: true; readonly name: string; readonly key: string }
  | { readonly ok: false; readonly reason: string };

/** In characters as a reader counts them by code point. */
export const longestName = 200;

/** Scripts in everyday use (UAX 31, table 5); Latin and its punctuation are always there. */
// biome-ignore format: a table reads better in rows
const scripts = [
  'Latin', 'Arabic', 'Armenian', 'Bengali', 'Bopomofo', 'Cyrillic', 'Devanagari', 'Ethiopic', 'Georgian', 'Greek',
  'Gujarati', 'Gurmukhi', 'Hangul', 'Han', 'Hebrew', 'Hiragana', 'Kannada', 'Katakana', 'Khmer', 'Lao', 'Malayalam',
  'Myanmar', 'Oriya', 'Sinhala', 'Tamil', 'Telugu', 'Thaana', 'Thai', 'Tibetan',
] as const;
type Script = (typeof scripts)[number];

const scriptPatterns: readonly (readonly [Script, RegExp])[] = scripts.map((script) => [
  script,
  new RegExp(`^\\p{Script=${script}}$`, 'u'),
]);

/** What may stand together (UTS 39 "highly restrictive"): one script, or the customary East Asian sets. */
const customarySets: readonly (readonly Script[])[] = [
  ['Latin', 'Han', 'Hiragana', 'Katakana'],
  ['Latin', 'Han', 'Bopomofo'],
  ['Latin', 'Han', 'Hangul'],
];

/** Within Latin: ASCII, Latin-1, Extended-A and Additional. The phonetic and archaic blocks are full of doubles of a-z. */
const everydayLatin = /^[A-Za-z\u00c0-\u017f\u1e00-\u1eff]$/u;
const asciiMark = /^[ -~]$/;

/** Letters of Greek and Cyrillic that, in one of their cases, pass for a Latin one. */
const latinLookalikes: Partial<Record<Script, ReadonlySet<string>>> = {
  Greek: new Set('αβγεζηικμνορτυχω'),
  Cyrillic: new Set('авеёкмнорстухґіїјѕһӏүԁԛԝ'),
};

/**
 * Checks a name and gives the key under which it is unique.
 * @returns `name`: the NFC form, kept as typed otherwise; `key`: equal for names that a reader could take for one another
 *   (case, compatibility forms, l/1/I/|, 0/O, rn/m, quotes); or the reason for refusing it, as an end of "the name …"
 */
export function parseName(text: string): ParsedName {
  const name = text.normalize('NFC');
  const characters = [...name];
  if (characters.length === 0) return refuse('is empty');
  if (characters.length > longestName)
    return refuse(`has ${characters.length} characters; at most ${longestName} are allowed`);
  if (name !== name.trim() || name.includes('  ')) return refuse('begins or ends with a space, or has two in a row');
  const used = new Set<Script>();
  for (const [index, character] of characters.entries()) {
    const script = scriptOf(character, characters[index - 1]);
    if (script === undefined)
      return refuse(
        `contains ${describe(character)}, which is not allowed; use letters, the digits 0-9, spaces and ASCII punctuation`,
      );
    if (script !== 'any') used.add(script);
  }
  if (!mayStandTogether(used))
    return refuse(
      `mixes ${[...used].join(' and ')} letters; use one script, since letters of different scripts look alike`,
    );
  const lookalikes = onlyLookalikes(name, used);
  if (lookalikes !== undefined)
    return refuse(`is written in ${lookalikes} letters that all look like Latin ones; write it in Latin letters`);
  return { ok: true, name, key: skeletonOf(name) };
}

function refuse(reason: string): ParsedName {
  return { ok: false, reason };
}

/** The script of a character, `any` for what belongs to all (ASCII punctuation, a mark on a letter), undefined when it is not allowed. */
function scriptOf(character: string, before: string | undefined): Script | 'any' | undefined {
  if (asciiMark.test(character) && !/[A-Za-z]/.test(character)) return 'any';
  // Compatibility forms (ligatures, full-width letters, ㎏) have a plain spelling; that one is asked for.
  if (character !== character.normalize('NFKC')) return undefined;
  const isMark = /^\p{M}$/u.test(character);
  // A mark needs a letter to stand on, and two at most: stacked marks hide each other.
  if (isMark && !(before !== undefined && /^[\p{L}\p{M}]$/u.test(before))) return undefined;
  if (!isMark && !/^\p{L}$/u.test(character)) return undefined;
  const script = scriptPatterns.find(([, pattern]) => pattern.test(character))?.[0];
  // Marks that every script shares (Inherited) on Latin, Greek and Cyrillic exist precomposed where they are in use.
  if (script === undefined) return undefined;
  return script === 'Latin' && !everydayLatin.test(character) ? undefined : script;
}

function mayStandTogether(used: ReadonlySet<Script>): boolean {
  return used.size <= 1 || customarySets.some((set) => [...used].every((script) => set.includes(script)));
}

function onlyLookalikes(name: string, used: ReadonlySet<Script>): Script | undefined {
  const [script] = used;
  const set = script === undefined ? undefined : latinLookalikes[script];
  if (set === undefined) return undefined;
  const letters = [...foldCase(name)].filter((character) => /\p{L}/u.test(character));
  return letters.every((letter) => set.has(letter)) ? script : undefined;
}

/** Full case folding, near enough: up and down again joins ß with ss and ς with σ. */
function foldCase(text: string): string {
  return text.normalize('NFKC').toUpperCase().toLowerCase().replaceAll('ς', 'σ').normalize('NFKC');
}

/**
 * One representative for all spellings that look alike. Case folding joins I with i and sight joins I, l, 1 and |, so all
 * five are one here: `mail` and `mall` collide too. Better a refused name than an approval given to the wrong one.
 */
function skeletonOf(name: string): string {
  return foldCase(name)
    .replace(/[il1|]/g, 'l')
    .replaceAll('0', 'o')
    .replaceAll('rn', 'm')
    .replaceAll('"', "''")
    .replaceAll('`', "'");
}

function describe(character: string): string {
  const code = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  return /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character) ? `"${character}" (${code})` : `the character ${code}`;
}
