-- Rights inside the database malha, run by the superuser (or the server's owner); safe to repeat.
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gist;
ALTER SCHEMA public OWNER TO malha_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO malha_app, malha_compactor, malha_view;
ALTER DEFAULT PRIVILEGES FOR ROLE malha_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO malha_app;
ALTER DEFAULT PRIVILEGES FOR ROLE malha_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO malha_app;
