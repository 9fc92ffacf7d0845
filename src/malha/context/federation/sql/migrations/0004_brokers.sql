-- Other parties than installations of Malha: an NGSI-LD broker is read, and knows nothing of the link.
ALTER TABLE federation_link ADD COLUMN kind text NOT NULL DEFAULT 'malha' CHECK (kind IN ('malha', 'ngsild'));
