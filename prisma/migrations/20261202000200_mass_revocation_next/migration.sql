-- What is begun next, of one mass revocation: so that a step reads what it begins, however many wait or are over.
CREATE INDEX "mass_revocation_subject_waiting" ON "mass_revocation_subject"
  ("massRevocationId", "issuer", "exposure", "identityId") WHERE "state" = 'waiting';
DROP INDEX "mass_revocation_subject_next";
