"""The home folder: everything one company's leadscore keeps on this machine.

store.db            operational store (unless LEADSCORE_DATABASE_URL names PostgreSQL)
ledger.db, ledger/  answers given online; batch runs as Parquet
partitions/<name>/  touchpoints of bulk imports, registered in the store
snapshots/<hash>/   immutable history for batch work
bundles/<hash>/     every model that was ever registered
features/           the company's own feature declarations
imports/<time>/     rejected rows with their reasons
reports/            drift reports, plots, model cards
tracking/           MLflow's database and artefacts
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    path: Path
    database_url: str = ""
    """SQLAlchemy URL of the operational store; empty means `store.db` here."""

    @staticmethod
    def at(path: Path | str, database_url: str = "") -> Home:
        """The home at `path`, created (mode 0700) when it is not there."""
        home = Home(Path(path).expanduser().absolute(), database_url)
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return home

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{self.path / 'store.db'}"

    @property
    def ledger_db(self) -> Path:
        return self.path / "ledger.db"

    @property
    def ledger(self) -> Path:
        return self._folder("ledger")

    @property
    def snapshots(self) -> Path:
        return self._folder("snapshots")

    @property
    def bundles(self) -> Path:
        return self._folder("bundles")

    @property
    def own_features(self) -> Path:
        return self._folder("features")

    @property
    def imports(self) -> Path:
        return self._folder("imports")

    @property
    def reports(self) -> Path:
        return self._folder("reports")

    @property
    def tracking(self) -> Path:
        return self._folder("tracking")

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder
