-- A log also begins when another key succeeds: the note that both keys signed says where. The tree goes on.
ALTER TABLE "evidence_log" ALTER COLUMN "restoreId" DROP NOT NULL;
ALTER TABLE "evidence_log" ADD COLUMN "succession" TEXT;
ALTER TABLE "evidence_log" ADD CONSTRAINT "evidence_log_begun_by" CHECK (num_nonnulls("restoreId", "succession") = 1);
