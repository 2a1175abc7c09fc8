/** How a text may stand in a file or a message without being readable at first sight. */
const formsOf: Readonly<Record<string, (text: string) => readonly Buffer[]>> = {
  plain: (text) => [Buffer.from(text)],
  'UTF-16': (text) => [Buffer.from(text, 'utf16le')],
  hexadecimal: (text) => [
    Buffer.from(Buffer.from(text).toString('hex')),
    Buffer.from(Buffer.from(text).toString('hex').toUpperCase()),
  ],
  base64: (text) => [0, 1, 2].flatMap((offset) => alignedBase64(text, offset)),
  'in a URL': (text) => [Buffer.from(encodeURIComponent(text))],
};

/** The forms in which `text` stands in `bytes`; empty when in none. */
export function formsFound(bytes: Buffer, text: string): string[] {
  return Object.entries(formsOf)
    .filter(([, variants]) => variants(text).some((variant) => bytes.includes(variant)))
    .map(([form]) => form);
}

/** The characters of base64 that depend on `text` alone, when `offset` bytes stand before it. */
function alignedBase64(text: string, offset: number): Buffer[] {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)]);
  const from = Math.ceil((offset * 8) / 6);
  const to = Math.floor((bytes.length * 8) / 6);
  return (['base64', 'base64url'] as const).map((alphabet) => Buffer.from(bytes.toString(alphabet).slice(from, to)));
}
