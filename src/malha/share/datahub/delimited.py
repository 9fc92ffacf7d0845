"""CSV of any size from a table's Parquet files: column by column, in constant memory, formulas guarded (RFC 4180)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

BATCH_ROWS = 65_536
#: what a spreadsheet would run when a text cell begins with it (OWASP, CSV injection)
_FORMULA = r"^[=+\-@\t\r]"
_OPTIONS = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")


def lines(paths: list[Path]) -> Iterator[bytes]:
    """A header, then every row; places are left out (longitude and latitude stay), instants are ISO 8601 in UTC."""
    names: list[str] = []
    for path in paths:
        file = pq.ParquetFile(path)
        if not names:
            names = [field.name for field in file.schema_arrow if not pa.types.is_binary(field.type)]
            yield (",".join(names) + "\r\n").encode()
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            out = io.BytesIO()
            arrow_csv.write_csv(pa.table({name: _plain(column) for name, column in zip(names, batch.columns, strict=True)}), out, _OPTIONS)
            yield out.getvalue()


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        plain = column.cast(pa.timestamp(column.type.unit))  # day and time as texts, at a tenth of what strftime costs
        return pc.binary_join_element_wise(plain.cast(pa.date32()).cast(pa.string()), "T", plain.cast(pa.time64("us")).cast(pa.string()), "Z", "")
    if not pa.types.is_string(column.type):
        return column
    if column.null_count == len(column):
        return column
    encoded = column.dictionary_encode()  # most texts repeat: each is looked at once
    texts = encoded.dictionary
    risky = pc.match_substring_regex(texts, _FORMULA)
    if pc.any(risky).as_py():
        texts = pc.if_else(risky, pc.binary_join_element_wise("'", texts, ""), texts)
    return texts.take(encoded.indices)
