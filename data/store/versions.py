"""Which migrations a store has had: an empty one gets them all, an old one is refused until told to."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from data.errors import StoreUnavailable
from data.store.engine import STORE_AREA, reading, store_subject, writing
from data.store.schema import HEAD, METADATA, VERSION_TABLE


def ensure_current(engine: Engine) -> None:
    """Migrates an empty store; raises StoreUnavailable for one of another version."""
    with reading(engine) as connection:
        version = store_version(connection)
    if version == HEAD:
        return
    if version is not None:
        raise _other_version(engine, version)
    with writing(engine) as connection:
        # Another process may have been faster while we waited for the lock.
        if store_version(connection) is None:
            run_migrations(connection)


def bring_up_to_date(engine: Engine) -> tuple[str | None, str]:
    """Migrates a store of any older version, in one transaction; returns (version before, version now)."""
    with writing(engine) as connection:
        before = store_version(connection)
        if before is not None and before > HEAD:
            raise _other_version(engine, before)
        run_migrations(connection)
        return before, HEAD


def store_version(connection: Connection) -> str | None:
    """The newest migration applied, or None where there is no table at all yet."""
    names = set(inspect(connection).get_table_names(schema=_schema(connection)))
    if VERSION_TABLE in names:
        row = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).first()
        return str(row[0]) if row else None
    if names & set(METADATA.tables):
        raise StoreUnavailable(
            store_subject(connection.engine.url),
            f"a database with tables of its own ({', '.join(sorted(names)[:5])})",
            expected="an empty database or a leadscore store",
            remedy="choose another home or LEADSCORE_DATABASE_URL",
        )
    return None


def run_migrations(connection: Connection, to: str = "head") -> None:
    """Applies what is missing up to a version, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {STORE_AREA.schema}"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _schema(connection: Connection) -> str | None:
    return STORE_AREA.schema if connection.dialect.name == "postgresql" else None


def _other_version(engine: Engine, version: str) -> StoreUnavailable:
    older = version < HEAD
    return StoreUnavailable(
        store_subject(engine.url),
        f"a store of version {version}",
        expected=f"version {HEAD}",
        remedy="run `leadscore migrate`" if older else "install the leadscore that wrote it, or a newer one",
    )
