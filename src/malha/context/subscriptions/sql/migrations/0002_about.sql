-- What a subscription is about: entities, or registrations of context sources (GS CIM 009 §5.11); of those, what is told is written beside.
ALTER TABLE subscription ADD COLUMN about text NOT NULL DEFAULT 'entities' CHECK (about IN ('entities', 'registrations'));
ALTER TABLE notification ADD COLUMN told jsonb;
CREATE INDEX notification_told ON notification (tenant_id, subscription_id) WHERE told IS NOT NULL;
GRANT INSERT ON notification TO malha_app;
