import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const page = new URL('../../docs/promises.md', import.meta.url);
const text = readFileSync(page, 'utf8');

test('docs/promises.md names every promise once, and every test that it links exists', () => {
  const promises = [...text.matchAll(/^\| (\d+) \| /gm)].map(([, number]) => Number(number));
  expect(promises).toEqual(Array.from({ length: 14 }, (_, index) => index + 1));
  const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link);
  expect(links.length).toBeGreaterThan(promises.length);
  expect(links.filter((link) => !existsSync(fileURLToPath(new URL(link, page))))).toEqual([]);
});
