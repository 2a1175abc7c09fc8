-- Agents, what they ask for by step-ups, and what they are granted.

-- AlterTable
ALTER TABLE "identity" ADD COLUMN     "agentPolicy" JSONB;

-- AlterTable
ALTER TABLE "request" ADD COLUMN     "registration" JSONB,
ADD COLUMN     "stepUp" JSONB;

-- CreateTable
CREATE TABLE "agent_key" (
    "handle" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "installationId" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "registration" JSONB NOT NULL,
    "oidcSubject" TEXT,
    "validUntil" TIMESTAMPTZ(3) NOT NULL,
    "lastUsedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "agent_key_pkey" PRIMARY KEY ("handle")
);

-- CreateTable
CREATE TABLE "signing_key" (
    "handle" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "installationId" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "kid" TEXT NOT NULL,
    "publicKey" JSONB NOT NULL,
    "validUntil" TIMESTAMPTZ(3) NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "signing_key_pkey" PRIMARY KEY ("handle")
);

-- CreateTable
CREATE TABLE "access_grant" (
    "id" TEXT NOT NULL,
    "requestId" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "audience" TEXT NOT NULL,
    "tool" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "resource" TEXT NOT NULL,
    "workspace" TEXT NOT NULL,
    "jkt" TEXT NOT NULL,
    "onBehalfOf" TEXT,
    "isOnBehalfVerified" BOOLEAN NOT NULL,
    "issuedAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,
    "revokedAt" TIMESTAMPTZ(3),
    "revokedBy" TEXT,
    "revokedBecause" TEXT,

    CONSTRAINT "access_grant_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "single_use" (
    "digest" BYTEA NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "single_use_pkey" PRIMARY KEY ("digest")
);

-- CreateIndex
CREATE INDEX "agent_key_identityId_version_idx" ON "agent_key"("identityId", "version");

-- CreateIndex
CREATE INDEX "agent_key_oidcSubject_idx" ON "agent_key"("oidcSubject");

-- CreateIndex
CREATE UNIQUE INDEX "signing_key_kid_key" ON "signing_key"("kid");

-- CreateIndex
CREATE INDEX "signing_key_identityId_version_idx" ON "signing_key"("identityId", "version");

-- CreateIndex
CREATE UNIQUE INDEX "access_grant_requestId_key" ON "access_grant"("requestId");

-- CreateIndex
CREATE INDEX "access_grant_identityId_issuedAt_id_idx" ON "access_grant"("identityId", "issuedAt", "id");

-- CreateIndex
CREATE INDEX "single_use_expiresAt_idx" ON "single_use"("expiresAt");

-- AddForeignKey
ALTER TABLE "access_grant" ADD CONSTRAINT "access_grant_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "identity"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "access_grant" ADD CONSTRAINT "access_grant_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What Prisma cannot express.

-- A step-up says what it asks for, and nothing else does.
ALTER TABLE "request" ADD CONSTRAINT "request_step_up" CHECK (("kind" = 'step-up') = ("stepUp" IS NOT NULL));

-- As before, and what an agent is to authenticate with or asks for, which decisions are bound to (promise 5).
CREATE OR REPLACE FUNCTION "request_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."state" IN ('completed', 'denied', 'cancelled', 'expired', 'failed') AND NEW."state" <> OLD."state" THEN
    RAISE EXCEPTION 'request % is %: it stays so', OLD."id", OLD."state"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_final';
  END IF;
  IF NEW."flowDigest" <> OLD."flowDigest" OR NEW."identityId" IS DISTINCT FROM OLD."identityId"
     OR NEW."kind" <> OLD."kind" OR NEW."proposal" IS DISTINCT FROM OLD."proposal"
     OR NEW."publicationDigest" IS DISTINCT FROM OLD."publicationDigest"
     OR NEW."registration" IS DISTINCT FROM OLD."registration" OR NEW."stepUp" IS DISTINCT FROM OLD."stepUp" THEN
    RAISE EXCEPTION 'request %: flow, subject, kind and proposal never change', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_immutable';
  END IF;
  IF NEW."sequence" < OLD."sequence" OR NEW."revision" < OLD."revision" THEN
    RAISE EXCEPTION 'request %: sequence and revision only grow', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_counters';
  END IF;
  RETURN NEW;
END $$;

-- As before, and an agent's policy stays what approvers were shown (promise 5): what narrows are the identity's scopes.
CREATE OR REPLACE FUNCTION "identity_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."state" <> NEW."state" AND NOT (
       (OLD."state" = 'requested' AND NEW."state" IN ('active', 'rejected'))
    OR (OLD."state" = 'active' AND NEW."state" = 'revoking')
    OR (OLD."state" = 'revoking' AND NEW."state" = 'revoked')) THEN
    RAISE EXCEPTION 'identity % cannot go from % to %', OLD."id", OLD."state", NEW."state"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'identity_transition';
  END IF;
  IF NEW."epoch" < OLD."epoch" OR NEW."highestVersion" < OLD."highestVersion" THEN
    RAISE EXCEPTION 'identity %: epoch and version only grow', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'identity_counters';
  END IF;
  IF NEW."id" <> OLD."id" OR NEW."issuer" <> OLD."issuer" OR NEW."store" <> OLD."store"
     OR NEW."agentPolicy" IS DISTINCT FROM OLD."agentPolicy" THEN
    RAISE EXCEPTION 'identity %: id, issuer, store and policy never change', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'identity_immutable';
  END IF;
  RETURN NEW;
END $$;

-- A grant is revoked once, and nothing else of it changes (promise 2).
CREATE FUNCTION "access_grant_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."revokedAt" IS NOT NULL OR NEW."revokedAt" IS NULL
     OR (to_jsonb(NEW) - '{revokedAt,revokedBy,revokedBecause}'::text[])
        <> (to_jsonb(OLD) - '{revokedAt,revokedBy,revokedBecause}'::text[]) THEN
    RAISE EXCEPTION 'grant %: it can be revoked once, and nothing else of it changes', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'access_grant_immutable';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "access_grant_transition" BEFORE UPDATE ON "access_grant"
  FOR EACH ROW EXECUTE FUNCTION "access_grant_transition"();
CREATE TRIGGER "access_grant_not_deleted" BEFORE DELETE ON "access_grant"
  FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "access_grant_not_truncated" BEFORE TRUNCATE ON "access_grant"
  FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();
