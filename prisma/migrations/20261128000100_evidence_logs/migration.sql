-- A log that was begun because signed entries were lost in a restore. The first log has no row: it is the installation's.
CREATE TABLE "evidence_log" (
    "generation" INTEGER NOT NULL,
    "firstSize" BIGINT NOT NULL,
    "restoreId" TEXT NOT NULL,
    "begunAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "evidence_log_pkey" PRIMARY KEY ("generation"),
    CONSTRAINT "evidence_log_generation" CHECK ("generation" >= 2),
    CONSTRAINT "evidence_log_firstSize" CHECK ("firstSize" >= 0)
);

CREATE UNIQUE INDEX "evidence_log_restoreId_key" ON "evidence_log"("restoreId");
ALTER TABLE "evidence_log" ADD CONSTRAINT "evidence_log_restoreId_fkey" FOREIGN KEY ("restoreId") REFERENCES "ledger_restore"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

CREATE TRIGGER "evidence_log_kept" BEFORE UPDATE OR DELETE OR TRUNCATE ON "evidence_log"
  FOR EACH STATEMENT EXECUTE FUNCTION "evidence_append_only"();
ALTER TABLE "evidence_log" ENABLE ALWAYS TRIGGER "evidence_log_kept";
