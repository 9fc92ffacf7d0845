-- Through which brokers a subscription came here (GS CIM 009 §6.3.18), so that it is not passed on to where it has been.
ALTER TABLE subscription ADD COLUMN through text[] NOT NULL DEFAULT '{}';
-- What another source told of is for one subscription alone; null: for whoever wants to hear of it.
ALTER TABLE entity_change ADD COLUMN subscription_id bigint;
