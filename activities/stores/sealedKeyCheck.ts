import type { Configuration } from '../../configuration/configurationSchema.ts';
import { countSealedOutside, type SealedTable } from '../../ledger/sealedValues.ts';
import { loadSealedKeys } from './sealedKeys.ts';

/**
 * Whether everything that sealed stores hold can be opened with the keys that tenure.yaml names. Asked at start, since a
 * wrong key would else be noticed by the first consumer whose secret cannot be served.
 * @returns what is missing, for whom to mend it, and never a key; undefined when nothing is
 * @throws SealedKeyUnusable naming the source of a key that cannot be read
 */
export async function missingSealedKeys(
  { stores }: Pick<Configuration, 'stores'>,
  table: SealedTable,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const sealed = Object.entries(stores).flatMap(([name, store]) => {
    if (store.type !== 'sealed') return [];
    const keys = loadSealedKeys(store, env);
    return [{ name, source: store.keyFile ?? `environment variable ${store.keyEnv}`, keys }];
  });
  if (sealed.length === 0) return undefined;
  const missing = await countSealedOutside(
    table,
    sealed.flatMap(({ keys }) => [...keys.reading.keys()]),
  );
  if (missing.length === 0) return undefined;
  const what = missing.map(({ keyId, count }) => `${count} values are sealed under key ${keyId}`).join(', ');
  const held = sealed.map(({ name, source, keys }) => `store "${name}" has key ${keys.writing.id} from ${source}`);
  return `${what}, which tenure.yaml does not name: ${held.join('; ')}. They cannot be served. Put the right key back as keyFile, or name the earlier one in previousKeyFiles, and restart.`;
}
