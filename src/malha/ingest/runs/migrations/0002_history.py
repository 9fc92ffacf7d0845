from django.db import migrations

from malha.foundation.database.operations import SqlFile

_BACK = """
UPDATE ingest_run SET kind = 'other' WHERE kind = 'history';
ALTER TABLE ingest_run DROP CONSTRAINT ingest_run_kind_check;
ALTER TABLE ingest_run ADD CONSTRAINT ingest_run_kind_check CHECK (kind IN ('file', 'source', 'mended', 'other'));
"""


class Migration(migrations.Migration):
    dependencies = [("ingest_runs", "0001_runs")]
    operations = [SqlFile(__file__, "0002_history.sql", _BACK)]
