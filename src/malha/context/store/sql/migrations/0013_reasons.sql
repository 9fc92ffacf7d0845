-- Why a value took the place of another, in the words of whoever wrote it.
ALTER TABLE observation_author ADD COLUMN why text NOT NULL DEFAULT '';
