"""Settings from the environment, read once at the front door.

Every field is the variable `LEADSCORE_<FIELD>`; all are listed in
`docs/settings.md`, which a test holds complete.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="LEADSCORE_", extra="ignore")

    home: Path = Field(default=Path(".leadscore"), description="Home folder of one company.")
    database_url: str = Field(
        default="", description="SQLAlchemy URL of the operational store; empty means SQLite in the home folder."
    )
    ledger_days: int = Field(
        default=400, ge=0, description="Days that answers stay in the ledger before they are deleted; 0: for ever."
    )
    now: str = Field(default="", description="ISO time that stands in for the clock, for rehearsals.")
    debug: bool = Field(default=False, description="Show where a fault in leadscore itself arose.")
