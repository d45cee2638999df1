"""Settings of the service, read once when its process starts.

Every field is the variable `LEADSCORE_SERVE_<FIELD>`; `docs/api.md` lists them.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServingSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="LEADSCORE_SERVE_", extra="ignore")

    poll_seconds: float = Field(default=2.0, gt=0, description="How often the deployment row is looked at.")
    retry_seconds: float = Field(default=60.0, gt=0, description="Pause before a refused deployment is tried again.")
    body_bytes: int = Field(default=1_000_000, gt=0, description="Longest request body that is read.")
    ledger_queue: int = Field(default=2_000, gt=0, description="Answers waiting for the ledger; beyond it: 503.")
    ledger_batch: int = Field(default=500, gt=0, description="Most answers written to the ledger in one commit.")
    store_seconds: float = Field(default=3.0, gt=0, description="Longest wait for the store when scoring by id.")
    timeout_seconds: float = Field(default=5.0, gt=0, description="Longest any request may take.")
