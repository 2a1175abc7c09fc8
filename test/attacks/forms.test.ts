import { expect, test } from 'vitest';
import { formsFound } from './forms.ts';

const canary = 'canary: wörter & mehr';

test.each([
  ['plain', (text: string) => text],
  ['hexadecimal', (text: string) => Buffer.from(text).toString('hex')],
  ['base64', (text: string) => Buffer.from(`x${text}yz`).toString('base64')],
  ['base64', (text: string) => Buffer.from(`xy${text}`).toString('base64url')],
  ['base64', (text: string) => Buffer.from(`xyz${text}z`).toString('base64')],
  ['in a URL', (text: string) => `?q=${encodeURIComponent(text)}`],
])('the search finds a text that is hidden as %s', (form, hide) => {
  expect(formsFound(Buffer.from(`before ${hide(canary)} after`), canary)).toContain(form);
});

test('the search finds UTF-16, and finds nothing where nothing is', () => {
  expect(formsFound(Buffer.from(canary, 'utf16le'), canary)).toEqual(['UTF-16']);
  expect(formsFound(Buffer.from('canary: other words'), canary)).toEqual([]);
});
