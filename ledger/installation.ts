import { idFromBytes } from '../domain/ids.ts';
import type { PrismaClient } from '../prisma/generated/client.ts';

export interface Installation {
  readonly id: string;
  /** Names the evidence log for ever: a schema-less URL. */
  readonly origin: string;
}

/**
 * Which installation this database belongs to; made at the first start, never changed. Safe when processes start at once.
 * @param host where the installation is first reached, for people who read a checkpoint
 * @param random 16 random bytes, used only when there is no installation yet
 */
export async function ensureInstallation(
  prisma: Pick<PrismaClient, '$executeRaw' | 'installation'>,
  { host, random }: { host: string; random: Buffer },
): Promise<Installation> {
  const id = idFromBytes(random);
  await prisma.$executeRaw`
    INSERT INTO "installation" ("id", "origin")
    SELECT ${id}, ${`${host}/tenure/${id}`}
    WHERE NOT EXISTS (SELECT 1 FROM "installation")
      AND pg_advisory_xact_lock(${installationLock}) IS NOT NULL`;
  const installation = await prisma.installation.findFirstOrThrow({ orderBy: { createdAt: 'asc' } });
  return { id: installation.id, origin: installation.origin };
}

const installationLock = 7_305_808_869_231_004n;
