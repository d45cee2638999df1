"""A company's files in a folder, imported by a mapping given as text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from data.home import Home
from data.sources.importing import ImportResult, import_mapping
from data.sources.mapping import Mapping, read_mapping
from data.store.operational import Store
from data.tables import BY_NAME
from data.times import DAY, parse_instant

TODAY = parse_instant("2026-06-01")

HEAD = """
source = "crm"
[company]
timezone = "UTC"
[targets.won]
stage = "won"
horizon = "90d"
"""


@dataclass
class Desk:
    """Where a test writes files, imports them and reads back what was stored."""

    folder: Path
    home: Home
    store: Store
    today: int = TODAY
    results: list[ImportResult] = field(default_factory=list)

    def write(self, name: str, text: str, encoding: str = "utf-8") -> Path:
        path = self.folder / name
        path.write_bytes(textwrap.dedent(text).lstrip("\n").encode(encoding))
        return path

    def mapping(self, body: str, head: str = HEAD, name: str = "mapping.toml") -> Mapping:
        return read_mapping(self.write(name, head + textwrap.dedent(body)))

    def load(self, body: str, head: str = HEAD, name: str = "mapping.toml") -> ImportResult:
        """Imports; each time a day later than the last."""
        now = self.today + len(self.results) * DAY
        self.results.append(import_mapping(self.mapping(body, head, name), self.store, self.home, now=now))
        return self.results[-1]

    def rows(self, table: str) -> pd.DataFrame:
        return self.store.read(BY_NAME[table]).to_pandas()

    def attribute(self, lead_id: str, name: str) -> list[object]:
        """Values of one attribute of one lead in order of acceptance; None where missing."""
        found = self.rows("lead_attributes")
        found = found[(found["lead_id"] == lead_id) & (found["name"] == name)]
        values = found["number"].where(found["number"].notna(), found["text"])
        return [None if pd.isna(v) else v for v in values]

    def rejected(self) -> list[tuple[str, int, str, str, str]]:
        """(file, row, column, value, reason) of the last import."""
        path = self.results[-1].rejected_file
        if path is None:
            return []
        found = pd.read_csv(path, keep_default_na=False, dtype={"value": str})
        return list(found[["file", "row", "column", "value", "reason"]].itertuples(index=False, name=None))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "files"
    folder.mkdir()
    home = Home.at(tmp_path / "home")
    with Store.open(home) as store:
        yield Desk(folder, home, store)


@pytest.fixture
def at() -> Callable[..., pa.Array]:
    """Instants of texts, read in a zone."""

    def read(*texts: str, zone: str = "Asia/Tokyo", form: str = "") -> list[int | None]:
        from data.sources.instants import instants

        return instants(pa.array(texts, pa.string()), timezone=zone, form=form).to_pylist()

    return read
