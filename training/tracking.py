"""Starts MLflow's tracking server on the store that the registry uses, as `mlflow/server.toml` configures it.

That is the home folder's SQLite file, or the database that MLFLOW_TRACKING_URI
names. Where it names a server, that one is running already and shows itself.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from data.errors import StoreUnavailable, UsageError
from data.home import Home

VARIABLE = "MLFLOW_TRACKING_URI"

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


def tracking_uri(home: Home) -> str:
    """MLFLOW_TRACKING_URI, else the SQLite file in the home folder: for the registry and the server alike."""
    return os.environ.get(VARIABLE) or f"sqlite:///{home.tracking / 'mlflow.db'}"


def shown_uri(uri: str) -> str:
    """Without the password a URI may carry."""
    return re.sub(r"//[^/@]*@", "//…@", uri)


def refuse_busy(server: Server) -> None:
    """Raises UsageError where something listens on the port already, before MLflow takes ten seconds to notice."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError:
            raise UsageError(
                "--port", server.port, expected=f"a free port on {server.host}", remedy="give another --port"
            ) from None


def server_command(server: Server, home: Home) -> list[str]:
    """Arguments of the process. Raises UsageError where MLFLOW_TRACKING_URI names a server, which runs already."""
    store = tracking_uri(home)
    if store.startswith(("http://", "https://", "databricks")):
        raise UsageError(
            VARIABLE,
            shown_uri(store),
            expected="a database, to start a server on it",
            remedy="open that address in a browser: it is the server; or unset the variable for the home's own runs",
        )
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
    command = server_command(server, home)
    refuse_busy(server)
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    # Not from the checkout: its folder mlflow/ must not be taken for the package.
    process = subprocess.Popen(command, env=quiet, cwd=home.path)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return
    if code != 0:
        raise StoreUnavailable(
            f"MLflow server at {server.url}",
            f"it ended with {code}",
            expected=f"a server on {shown_uri(tracking_uri(home))}",
            remedy="read what it printed above",
        )
