import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { z } from 'zod';

/**
 * `node test/upgrade/recordRelease.ts COMMIT`: keeps what API and worker of that release are made of, so that a clone
 * without its history can run the release that it must be able to take over from. The same commit gives the same file.
 */

const parts = [
  ...[
    'activities',
    'api',
    'cli',
    'configuration',
    'contracts',
    'domain',
    'embedded',
    'flows',
    'integrations',
    'ledger',
    'observability',
  ],
  ...['package.json', 'package-lock.json', 'prisma', 'scripts/generateClient.js', 'worker', 'workflows'],
];

const [commit] = process.argv.slice(2);
if (commit === undefined) throw new Error('Name the commit of the release: node test/upgrade/recordRelease.ts COMMIT');
const git = (...args: string[]): Buffer => execFileSync('git', args, { maxBuffer: 64 * 1024 * 1024 });
const manifest = z.object({ version: z.string() }).parse(JSON.parse(git('show', `${commit}:package.json`).toString()));
const file = fileURLToPath(new URL(`releases/${manifest.version}.tar.gz`, import.meta.url));
writeFileSync(file, gzipSync(git('archive', '--format=tar', commit, ...parts), { level: 9 }));
console.log(`${file}: release ${manifest.version} as of ${git('rev-parse', commit).toString().trim()}`);
