-- What people call the area of an agreement: the parishes that were chosen. Empty: drawn by hand, or everywhere.
ALTER TABLE agreement ADD COLUMN area_name text NOT NULL DEFAULT '';
