"""Records' names and contents as numbers, the same in Python and in DuckDB: what partitions are compared by.

A record's name (`source`, `source_id`) becomes 128 bits and its content 64. The
first 64 bits of a name are those of its base, the name without a counting
suffix ("#3"): records that only their count tells apart stand side by side
and fall into the same bucket. They are MD5's, which tells honest records
apart and is no defence against someone who wants two to collide.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pyarrow as pa

from data.tables import Table

FIELD, NOTHING = "\x1f", "\x1e"
"""Stand between two values, and for a null."""
KEYS_SCHEMA = pa.schema([pa.field(name, pa.uint64(), nullable=False) for name in ("name_hi", "name_lo", "content")])
_COUNT = re.compile(r"#[0-9]+\Z")
_LOW = 2**64 - 1


def base_sql(source: str = "source", name: str = "source_id") -> str:
    """The base of a name as 64 bits."""
    return f"(md5_number(concat_ws(chr(31), {source}, regexp_replace({name}, '#[0-9]+$', ''))) >> 64)::UBIGINT"


def name_sql(source: str = "source", name: str = "source_id") -> str:
    """The name itself as 64 bits."""
    return f"(md5_number(concat_ws(chr(31), {source}, {name})) & {_LOW})::UBIGINT"


def row_sql(table: Table) -> str:
    """A row's 128 bits, of all columns a snapshot has."""
    texts = [
        f'coalesce("{field.name}"{"" if pa.types.is_string(field.type) else "::VARCHAR"}, chr(30))'
        for field in table.snapshot_schema()
    ]
    return f"md5_number(concat_ws(chr(31), {', '.join(texts)}))"


def content_sql(table: Table) -> str:
    """A row's content as 64 bits."""
    return f"({row_sql(table)} & {_LOW})::UBIGINT"


def keys_of(table: Table, rows: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(name_hi, name_lo, content) of each row, of a table without numbers that are not whole."""
    columns = [[_text(value) for value in rows.column(name).to_pylist()] for name in table.snapshot_schema().names]
    sources, names = (rows.column(name).to_pylist() for name in ("source", "source_id"))
    high = [_number(f"{s}{FIELD}{_COUNT.sub('', n)}") >> 64 for s, n in zip(sources, names, strict=True)]
    low = [_number(f"{s}{FIELD}{n}") & _LOW for s, n in zip(sources, names, strict=True)]
    content = [_number(FIELD.join(values)) & _LOW for values in zip(*columns, strict=True)]
    return np.array(high, np.uint64), np.array(low, np.uint64), np.array(content, np.uint64)


def _text(value: str | int | None) -> str:
    return NOTHING if value is None else str(value)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest(), "little")
