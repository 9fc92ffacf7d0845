-- The maps that other sources keep of their part of an answer, by registration (GS CIM 009 §5.2.39).
ALTER TABLE entity_map ADD COLUMN linked jsonb NOT NULL DEFAULT '{}';
