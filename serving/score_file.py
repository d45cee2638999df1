"""The file `leadscore score` writes: CSV or Parquet, there as a whole or not at all."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from data.errors import UsageError
from serving.batch import SCORE_SCHEMA


class ScoreFile:
    """Takes chunks in order; written beside its place and moved there when the block ends well."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise UsageError("--out", path.name, expected="a name that ends in .csv or .parquet")
        if not path.absolute().parent.is_dir():
            raise UsageError("--out", str(path), expected="a file in a folder that is there")
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.unfinished")
        # Text only is quoted, and only where it must be; null is an empty cell.
        options = pa_csv.WriteOptions(quoting_style="needed")
        self._writer: pa_csv.CSVWriter | pq.ParquetWriter = (
            pa_csv.CSVWriter(str(self._unfinished), SCORE_SCHEMA, write_options=options)
            if path.suffix.lower() == ".csv"
            else pq.ParquetWriter(str(self._unfinished), SCORE_SCHEMA, compression="zstd")
        )
        self.rows = 0

    def write(self, scores: pa.Table) -> None:
        self._writer.write_table(scores)
        self.rows += scores.num_rows

    def __enter__(self) -> ScoreFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()
        if kind is None:
            self._unfinished.replace(self._path)
        else:
            self._unfinished.unlink(missing_ok=True)


class Best:
    """Keeps the rows of highest probability (margin where there is none), best first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows = SCORE_SCHEMA.empty_table()

    def add(self, scores: pa.Table) -> None:
        together = pa.concat_tables([self.rows, scores.filter(pc.is_valid(scores["margin"]))])
        order = pc.sort_indices(together, sort_keys=[("margin", "descending")])
        self.rows = together.take(order[: self._most])
