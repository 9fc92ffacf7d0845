"""CSV, canonical and as a Portuguese Excel expects it.

Both begin with comment lines (`#`, the default comment prefix of the W3C's Tabular Data model) that state
filter, moment, units and zone; `notes=False` leaves them out for tools that know no comments.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

from malha.insight.exports.contracts import Export
from malha.insight.exports.writers.cells import canonical, portuguese

BYTE_ORDER_MARK = "\ufeff"


def canonical_csv(export: Export, *, notes: bool = True) -> Iterator[bytes]:
    """RFC 4180 with `,`, decimal point, UTF-8, ISO 8601 in UTC."""
    yield from _write(export, canonical, delimiter=",", notes=notes)


def excel_csv(export: Export, *, notes: bool = True) -> Iterator[bytes]:
    """`;`, decimal comma, byte order mark, `dd/mm/yyyy` in the municipality's zone."""
    zone = export.statement.zone
    yield BYTE_ORDER_MARK.encode()
    yield from _write(export, lambda value: portuguese(value, zone), delimiter=";", notes=notes)


def _write(export: Export, cell: Callable[[object], str], *, delimiter: str, notes: bool) -> Iterator[bytes]:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")

    def flush() -> bytes:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text.encode()

    if notes:
        buffer.writelines(f"# {line}\r\n" for line in export.statement.lines(export.columns))
    writer.writerow([column.name for column in export.columns])
    yield flush()
    for batch in export.batches():
        writer.writerows([cell(value) for value in row] for row in batch)
        yield flush()
