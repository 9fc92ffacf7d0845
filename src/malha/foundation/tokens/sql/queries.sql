-- name: public_keys
-- Keys whose tokens are still accepted.
SELECT kid, public_pem FROM signing_key WHERE expires_at > now();

-- name: private_keys
-- Keys that can sign now or soon, oldest first.
SELECT k.kid, p.sealed, k.not_before, k.expires_at, k.created_at
FROM signing_key k JOIN signing_key_private p USING (kid)
WHERE k.expires_at > now()
ORDER BY k.not_before, k.created_at;

-- name: lock
-- One maker of keys at a time.
SELECT pg_advisory_xact_lock(870010);

-- name: add_key
-- The public part of a new key.
INSERT INTO signing_key (kid, public_pem, not_before, expires_at) VALUES (%(kid)s, %(public_pem)s, %(not_before)s, %(expires_at)s);

-- name: add_private_key
-- Its private part, sealed.
INSERT INTO signing_key_private (kid, sealed) VALUES (%(kid)s, %(sealed)s);

-- name: forget_keys
-- Keys whose last token expired.
DELETE FROM signing_key_private WHERE kid IN (SELECT kid FROM signing_key WHERE expires_at < now());

-- name: generation
-- The generation that a subject's tokens must have.
SELECT generation FROM token_generation WHERE subject = %(subject)s;

-- name: revoke
-- Refuse every token that the subject holds.
INSERT INTO token_generation (subject, generation, raised_at) VALUES (%(subject)s, 1, clock_timestamp())
ON CONFLICT (subject) DO UPDATE SET generation = token_generation.generation + 1, raised_at = clock_timestamp();

-- name: lately_revoked
-- Generations that rose while tokens of before may still be in time.
SELECT subject, generation FROM token_generation WHERE raised_at > now() - make_interval(secs => %(seconds)s);
