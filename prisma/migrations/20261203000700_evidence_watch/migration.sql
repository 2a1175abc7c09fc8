-- What the sealer and the continuous verification found last: what /readyz and issuance go by. Nothing hangs on this row
-- alone: the process that looks also says it in its log and in its own metrics.
CREATE TABLE "evidence_watch" (
    "part" TEXT NOT NULL,
    "okAt" TIMESTAMPTZ(3),
    "failingSince" TIMESTAMPTZ(3),
    "error" TEXT,
    "detail" TEXT,

    CONSTRAINT "evidence_watch_pkey" PRIMARY KEY ("part"),
    CONSTRAINT "evidence_watch_part" CHECK ("part" IN ('sealing', 'verification')),
    CONSTRAINT "evidence_watch_failing" CHECK (("failingSince" IS NULL) = ("error" IS NULL))
);

-- Entries (`entry/<id>`) that do not fit any more, and leaves (`leaf/<index>`) whose entry is gone, that cannot be put back: left as they are, by an operator's
-- word that is evidence too. The MAC is under the key outside PostgreSQL: a row put in here accepts nothing.
CREATE TABLE "evidence_damage" (
    "subject" TEXT NOT NULL,
    "found" BYTEA NOT NULL,
    "mac" BYTEA NOT NULL,
    "reason" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "evidence_damage_pkey" PRIMARY KEY ("subject", "found")
);
CREATE TRIGGER "evidence_damage_kept" BEFORE UPDATE OR DELETE OR TRUNCATE ON "evidence_damage"
  FOR EACH STATEMENT EXECUTE FUNCTION "evidence_append_only"();
ALTER TABLE "evidence_damage" ENABLE ALWAYS TRIGGER "evidence_damage_kept";
