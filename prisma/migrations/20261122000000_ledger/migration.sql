-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "installation" (
    "id" TEXT NOT NULL,
    "origin" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "installation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "person" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "groups" TEXT[],
    "active" BOOLEAN NOT NULL DEFAULT true,
    "source" TEXT NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "person_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "identity" (
    "id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "nameKey" TEXT NOT NULL,
    "environment" TEXT NOT NULL,
    "ownerId" TEXT NOT NULL,
    "purpose" TEXT NOT NULL,
    "scopes" TEXT[],
    "integration" TEXT NOT NULL,
    "labels" JSONB NOT NULL,
    "consumers" TEXT[],
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,
    "issuer" TEXT NOT NULL,
    "store" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL DEFAULT 0,
    "highestVersion" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "identity_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "credential" (
    "handle" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "requestId" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "fingerprint" TEXT,
    "leaseEndsAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3),
    "epoch" INTEGER,
    "promotedEpoch" INTEGER,
    "committedAt" TIMESTAMPTZ(3),
    "promotedAt" TIMESTAMPTZ(3),
    "retiringAt" TIMESTAMPTZ(3),
    "destroyingAt" TIMESTAMPTZ(3),
    "destroyedAt" TIMESTAMPTZ(3),
    "probe" JSONB,
    "receipt" JSONB,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "credential_pkey" PRIMARY KEY ("handle")
);

-- CreateTable
CREATE TABLE "request" (
    "id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "flowDigest" TEXT NOT NULL,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "state" TEXT NOT NULL,
    "reason" TEXT,
    "trigger" TEXT NOT NULL,
    "requesterId" TEXT NOT NULL,
    "requesterKind" TEXT NOT NULL,
    "onBehalfOf" TEXT,
    "justification" TEXT NOT NULL DEFAULT '',
    "flowState" JSONB NOT NULL,
    "sequence" INTEGER NOT NULL DEFAULT 0,
    "workflowId" TEXT NOT NULL,
    "owesDestroys" BOOLEAN NOT NULL DEFAULT false,
    "wakeAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finishedAt" TIMESTAMPTZ(3),

    CONSTRAINT "request_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "requester" (
    "requestId" TEXT NOT NULL,
    "principal" TEXT NOT NULL,
    "onBehalfOf" TEXT,
    "joinedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "requester_pkey" PRIMARY KEY ("requestId","principal")
);

-- CreateTable
CREATE TABLE "request_event" (
    "requestId" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "verdict" JSONB NOT NULL,
    "sequence" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "request_event_pkey" PRIMARY KEY ("requestId","id")
);

-- CreateTable
CREATE TABLE "decision" (
    "id" TEXT NOT NULL,
    "requestId" TEXT NOT NULL,
    "stage" TEXT NOT NULL,
    "revision" INTEGER NOT NULL,
    "approverId" TEXT NOT NULL,
    "verdict" TEXT NOT NULL,
    "digest" TEXT NOT NULL,
    "comment" TEXT NOT NULL DEFAULT '',
    "signature" TEXT NOT NULL,
    "keyId" TEXT NOT NULL,
    "decidedAt" TIMESTAMPTZ(3) NOT NULL,
    "withdrawnAt" TIMESTAMPTZ(3),

    CONSTRAINT "decision_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "pause" (
    "id" TEXT NOT NULL,
    "requestId" TEXT NOT NULL,
    "principal" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "liftedAt" TIMESTAMPTZ(3),
    "liftedBy" TEXT,

    CONSTRAINT "pause_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "freeze" (
    "id" TEXT NOT NULL,
    "identityIds" TEXT[],
    "integrations" TEXT[],
    "reason" TEXT NOT NULL,
    "openedBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "liftedAt" TIMESTAMPTZ(3),
    "liftedBy" TEXT,
    "liftReason" TEXT,

    CONSTRAINT "freeze_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "acknowledgement" (
    "identityId" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "consumer" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "acknowledgement_pkey" PRIMARY KEY ("identityId","epoch","consumer")
);

-- CreateTable
CREATE TABLE "idempotent_call" (
    "principal" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "operation" TEXT NOT NULL,
    "bodyDigest" TEXT NOT NULL,
    "requestId" TEXT,
    "status" INTEGER,
    "response" JSONB,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotent_call_pkey" PRIMARY KEY ("principal","key")
);

-- CreateTable
CREATE TABLE "flow_version" (
    "digest" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "operation" TEXT NOT NULL,
    "canonical" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "author" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "flow_version_pkey" PRIMARY KEY ("digest")
);

-- CreateTable
CREATE TABLE "published_flow" (
    "name" TEXT NOT NULL,
    "operation" TEXT NOT NULL,
    "digest" TEXT NOT NULL,
    "publishedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "published_flow_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "outbox_message" (
    "id" BIGSERIAL NOT NULL,
    "kind" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "nextAttemptAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deliveredAt" TIMESTAMPTZ(3),
    "lastError" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "outbox_message_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "due_work" (
    "kind" TEXT NOT NULL,
    "subjectId" TEXT NOT NULL,
    "dueAt" TIMESTAMPTZ(3) NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "due_work_pkey" PRIMARY KEY ("kind","subjectId")
);

-- CreateTable
CREATE TABLE "lifecycle_run" (
    "id" INTEGER NOT NULL,
    "lastSuccessAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "lifecycle_run_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "evidence_entry" (
    "id" BIGSERIAL NOT NULL,
    "chain" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "body" TEXT NOT NULL,
    "mac" BYTEA NOT NULL,
    "leafIndex" BIGINT,
    "requestId" TEXT,
    "identityId" TEXT,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "evidence_entry_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "evidence_node" (
    "level" INTEGER NOT NULL,
    "index" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "evidence_node_pkey" PRIMARY KEY ("level","index")
);

-- CreateTable
CREATE TABLE "evidence_checkpoint" (
    "size" BIGINT NOT NULL,
    "rootHash" BYTEA NOT NULL,
    "note" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "evidence_checkpoint_pkey" PRIMARY KEY ("size")
);

-- CreateTable
CREATE TABLE "sealed_value" (
    "identityId" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "version" INTEGER,
    "epoch" INTEGER,
    "keyId" TEXT,
    "envelope" BYTEA,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "sealed_value_pkey" PRIMARY KEY ("identityId","path")
);

-- CreateIndex
CREATE INDEX "identity_integration_idx" ON "identity"("integration");

-- CreateIndex
CREATE INDEX "identity_state_idx" ON "identity"("state");

-- CreateIndex
CREATE INDEX "identity_createdAt_id_idx" ON "identity"("createdAt", "id");

-- CreateIndex
CREATE INDEX "credential_requestId_idx" ON "credential"("requestId");

-- CreateIndex
CREATE UNIQUE INDEX "credential_identityId_version_key" ON "credential"("identityId", "version");

-- CreateIndex
CREATE INDEX "request_identityId_createdAt_idx" ON "request"("identityId", "createdAt");

-- CreateIndex
CREATE INDEX "request_state_kind_idx" ON "request"("state", "kind");

-- CreateIndex
CREATE INDEX "request_createdAt_id_idx" ON "request"("createdAt", "id");

-- CreateIndex
CREATE INDEX "decision_requestId_idx" ON "decision"("requestId");

-- CreateIndex
CREATE INDEX "decision_approverId_idx" ON "decision"("approverId");

-- CreateIndex
CREATE INDEX "pause_requestId_idx" ON "pause"("requestId");

-- CreateIndex
CREATE INDEX "freeze_createdAt_id_idx" ON "freeze"("createdAt", "id");

-- CreateIndex
CREATE INDEX "flow_version_name_createdAt_idx" ON "flow_version"("name", "createdAt");

-- CreateIndex
CREATE INDEX "published_flow_operation_idx" ON "published_flow"("operation");

-- CreateIndex
CREATE INDEX "due_work_dueAt_idx" ON "due_work"("dueAt");

-- CreateIndex
CREATE UNIQUE INDEX "evidence_entry_leafIndex_key" ON "evidence_entry"("leafIndex");

-- CreateIndex
CREATE INDEX "evidence_entry_requestId_idx" ON "evidence_entry"("requestId");

-- CreateIndex
CREATE INDEX "evidence_entry_identityId_idx" ON "evidence_entry"("identityId");

-- CreateIndex
CREATE UNIQUE INDEX "evidence_entry_chain_position_key" ON "evidence_entry"("chain", "position");

-- AddForeignKey
ALTER TABLE "credential" ADD CONSTRAINT "credential_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "identity"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "credential" ADD CONSTRAINT "credential_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "request" ADD CONSTRAINT "request_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "identity"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "request" ADD CONSTRAINT "request_flowDigest_fkey" FOREIGN KEY ("flowDigest") REFERENCES "flow_version"("digest") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "requester" ADD CONSTRAINT "requester_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "request_event" ADD CONSTRAINT "request_event_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "decision" ADD CONSTRAINT "decision_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "pause" ADD CONSTRAINT "pause_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "acknowledgement" ADD CONSTRAINT "acknowledgement_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "identity"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "published_flow" ADD CONSTRAINT "published_flow_digest_fkey" FOREIGN KEY ("digest") REFERENCES "flow_version"("digest") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What Prisma cannot express. Each constraint names the promise or protocol it keeps.

-- One identity of a name in an environment, among those not final; look-alike names share a key.
CREATE UNIQUE INDEX "identity_name_once" ON "identity" ("nameKey", "environment")
  WHERE "state" IN ('requested', 'active', 'revoking');

-- One issuing request per identity (DESIGN section 3).
CREATE UNIQUE INDEX "request_one_issuing" ON "request" ("identityId")
  WHERE "kind" IN ('onboarding', 'rotation')
    AND "state" NOT IN ('completed', 'denied', 'cancelled', 'expired', 'failed');
CREATE UNIQUE INDEX "request_one_revocation" ON "request" ("identityId")
  WHERE "kind" = 'revocation'
    AND "state" NOT IN ('completed', 'denied', 'cancelled', 'expired', 'failed');

-- One uncommitted mint and one current credential per identity. (Rollback demotes, then re-promotes: for an instant two
-- are retiring, so that state has no such index.)
CREATE UNIQUE INDEX "credential_one_mint" ON "credential" ("identityId") WHERE "state" IN ('minting', 'staged');
CREATE UNIQUE INDEX "credential_one_current" ON "credential" ("identityId") WHERE "state" = 'current';

-- One counted decision per approver, stage and revision (promises 4 and 5).
CREATE UNIQUE INDEX "decision_once" ON "decision" ("requestId", "stage", "revision", "approverId")
  WHERE "withdrawnAt" IS NULL;

-- One open pause per request and person.
CREATE UNIQUE INDEX "pause_once" ON "pause" ("requestId", "principal") WHERE "liftedAt" IS NULL;

-- The freezes in force: read in every begin and commit.
CREATE INDEX "freeze_in_force" ON "freeze" ("createdAt") WHERE "liftedAt" IS NULL;
CREATE INDEX "outbox_undelivered" ON "outbox_message" ("nextAttemptAt") WHERE "deliveredAt" IS NULL;
CREATE INDEX "request_wake" ON "request" ("wakeAt") WHERE "wakeAt" IS NOT NULL;

ALTER TABLE "identity"
  ADD CONSTRAINT "identity_state" CHECK ("state" IN ('requested', 'active', 'revoking', 'revoked', 'rejected')),
  ADD CONSTRAINT "identity_id_length" CHECK (length("id") BETWEEN 1 AND 26),
  ADD CONSTRAINT "identity_counters" CHECK ("epoch" >= 0 AND "highestVersion" >= 0);
ALTER TABLE "credential"
  ADD CONSTRAINT "credential_state"
    CHECK ("state" IN ('minting', 'staged', 'current', 'retiring', 'destroying', 'destroyed')),
  ADD CONSTRAINT "credential_handle" CHECK ("handle" = "identityId" || '-v' || "version"),
  -- A destroyed credential has its receipt (promise 10).
  ADD CONSTRAINT "credential_receipt" CHECK ("state" <> 'destroyed' OR "receipt" IS NOT NULL);
ALTER TABLE "request"
  ADD CONSTRAINT "request_state" CHECK ("state" IN ('evaluating', 'awaiting-approval', 'awaiting-proof', 'held',
    'executing', 'awaiting-consumers', 'stuck', 'completed', 'denied', 'cancelled', 'expired', 'failed'));
ALTER TABLE "freeze"
  ADD CONSTRAINT "freeze_selects" CHECK (cardinality("identityIds") + cardinality("integrations") > 0);

-- CHECK cannot see OLD: transitions are triggers.
CREATE FUNCTION "credential_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."state" <> NEW."state" AND NOT (
       (OLD."state" = 'minting' AND NEW."state" IN ('staged', 'destroying'))
    OR (OLD."state" = 'staged' AND NEW."state" IN ('current', 'destroying'))
    OR (OLD."state" = 'current' AND NEW."state" IN ('retiring', 'destroying'))
    OR (OLD."state" = 'retiring' AND NEW."state" IN ('current', 'destroying'))
    OR (OLD."state" = 'destroying' AND NEW."state" = 'destroyed')) THEN
    RAISE EXCEPTION 'credential % cannot go from % to %', OLD."handle", OLD."state", NEW."state"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credential_transition';
  END IF;
  IF NEW."handle" <> OLD."handle" OR NEW."identityId" <> OLD."identityId" OR NEW."version" <> OLD."version"
     OR NEW."requestId" <> OLD."requestId" THEN
    RAISE EXCEPTION 'credential %: handle, identity, version and request never change', OLD."handle"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credential_identity';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "credential_transition" BEFORE UPDATE ON "credential"
  FOR EACH ROW EXECUTE FUNCTION "credential_transition"();

-- A credential begins as minting, under an identity that may issue, with the highest version so far + 1. Reading the
-- identity FOR SHARE closes the race of `begin` against a revocation even if a caller forgot the row lock.
CREATE FUNCTION "credential_begin"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  subject RECORD;
BEGIN
  IF NEW."state" <> 'minting' THEN
    RAISE EXCEPTION 'credential % must begin as minting', NEW."handle"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credential_begin';
  END IF;
  SELECT "state", "highestVersion" INTO subject FROM "identity" WHERE "id" = NEW."identityId" FOR SHARE;
  IF subject."state" NOT IN ('requested', 'active') THEN
    RAISE EXCEPTION 'identity % is %: nothing is issued', NEW."identityId", subject."state"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credential_begin';
  END IF;
  IF NEW."version" <> subject."highestVersion" THEN
    RAISE EXCEPTION 'credential %: the next version of its identity is %', NEW."handle", subject."highestVersion"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credential_begin';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "credential_begin" BEFORE INSERT ON "credential"
  FOR EACH ROW EXECUTE FUNCTION "credential_begin"();

CREATE FUNCTION "identity_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
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
  IF NEW."id" <> OLD."id" OR NEW."issuer" <> OLD."issuer" OR NEW."store" <> OLD."store" THEN
    RAISE EXCEPTION 'identity %: id, issuer and store never change', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'identity_immutable';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "identity_transition" BEFORE UPDATE ON "identity"
  FOR EACH ROW EXECUTE FUNCTION "identity_transition"();

-- A final request stays final; its flow version never changes (promise 7).
CREATE FUNCTION "request_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."state" IN ('completed', 'denied', 'cancelled', 'expired', 'failed') AND NEW."state" <> OLD."state" THEN
    RAISE EXCEPTION 'request % is %: it stays so', OLD."id", OLD."state"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_final';
  END IF;
  IF NEW."flowDigest" <> OLD."flowDigest" OR NEW."identityId" <> OLD."identityId" OR NEW."kind" <> OLD."kind" THEN
    RAISE EXCEPTION 'request %: flow, subject and kind never change', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_immutable';
  END IF;
  IF NEW."sequence" < OLD."sequence" OR NEW."revision" < OLD."revision" THEN
    RAISE EXCEPTION 'request %: sequence and revision only grow', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_counters';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "request_transition" BEFORE UPDATE ON "request"
  FOR EACH ROW EXECUTE FUNCTION "request_transition"();

-- A decision is what was signed: only its withdrawal may be added, once.
CREATE FUNCTION "decision_immutable"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."withdrawnAt" IS NOT NULL
     OR (to_jsonb(NEW) - 'withdrawnAt') <> (to_jsonb(OLD) - 'withdrawnAt') THEN
    RAISE EXCEPTION 'decision % never changes', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'decision_immutable';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "decision_immutable" BEFORE UPDATE ON "decision"
  FOR EACH ROW EXECUTE FUNCTION "decision_immutable"();

-- A flow version is named by its content.
CREATE FUNCTION "never_changes"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = 'never_changes';
END $$;
CREATE TRIGGER "flow_version_immutable" BEFORE UPDATE OR DELETE ON "flow_version"
  FOR EACH ROW EXECUTE FUNCTION "never_changes"();

-- Nothing of the ledger's facts is deleted: handles stay as tombstones.
CREATE TRIGGER "identity_kept" BEFORE DELETE ON "identity" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "credential_kept" BEFORE DELETE ON "credential" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "request_kept" BEFORE DELETE ON "request" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "decision_kept" BEFORE DELETE ON "decision" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
