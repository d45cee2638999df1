"""Starts MLflow's tracking server on the home folder's store, as `mlflow/server.toml` configures it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from data.errors import StoreUnavailable
from data.home import Home

CONFIGURATION = Path(__file__).resolve().parents[1] / "mlflow" / "server.toml"


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    workers: int
    allowed_hosts: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def configured_server(port: int | None = None, path: Path = CONFIGURATION) -> Server:
    """The server as configured, on another port where one is given."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    chosen = raw["port"] if port is None else port
    hosts = [h.replace(f":{raw['port']}", f":{chosen}") for h in raw["allowed_hosts"]]
    return Server(raw["host"], chosen, raw["workers"], tuple(hosts))


def server_command(server: Server, home: Home) -> list[str]:
    """Arguments of the process; its database and artefacts are the home folder's."""
    store = f"sqlite:///{home.tracking / 'mlflow.db'}"
    return [
        str(Path(sys.executable).parent / "mlflow"),
        "server",
        *("--backend-store-uri", store),
        *("--artifacts-destination", f"file://{home.tracking / 'artifacts'}"),
        *("--host", server.host),
        *("--port", str(server.port)),
        *("--workers", str(server.workers)),
        *("--allowed-hosts", ",".join(server.allowed_hosts)),
    ]


def run_server(server: Server, home: Home) -> None:
    """Runs until it is interrupted. Raises StoreUnavailable when it ends by itself."""
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    # Not from the checkout: its folder mlflow/ must not be taken for the package.
    process = subprocess.Popen(server_command(server, home), env=quiet, cwd=home.path)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return
    if code != 0:
        raise StoreUnavailable(
            f"MLflow server at {server.url}", f"it ended with {code}", expected="a free port", remedy="give --port"
        )
