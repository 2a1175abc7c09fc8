-- For compose.yaml: run once, by the superuser, when the volume of PostgreSQL is empty. Whoever takes over Temporal or its login
-- does not reach the ledger, and nobody who serves requests can switch its triggers off for a session or read the server's files.
\getenv ledger_password LEDGER_PASSWORD
\getenv temporal_password TEMPORAL_PASSWORD
-- A statement that fails would be logged with the password in it.
SET log_min_error_statement = panic;

CREATE ROLE tenure LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'ledger_password';
CREATE ROLE temporal LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'temporal_password';

CREATE DATABASE tenure OWNER tenure;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE ALL ON DATABASE tenure, temporal, temporal_visibility, postgres, template1 FROM PUBLIC;
