"""Folders an engine spills to: one that is in use stays, one whose process was killed goes."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from pathlib import Path

from data.home import Home
from features.engine import local_engine
from features.spill import PREFIX, SpillFolder

HOLDER = """
import sys, time
from pathlib import Path
from features.spill import SpillFolder
folder = SpillFolder.inside(Path(sys.argv[1]))
(folder.path / "much").write_bytes(bytes(1000))
print(folder.path, flush=True)
time.sleep(600)
"""


def _folders(place: Path) -> set[Path]:
    return set(place.glob(f"{PREFIX}*"))


def test_a_killed_process_leaves_a_folder_that_the_next_sweeps(root: Path, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        assert holder.stdout is not None
        theirs = Path(holder.stdout.readline().strip())
        mine = SpillFolder.inside(tmp_path)
        assert _folders(tmp_path) == {theirs, mine.path}
        assert (theirs / "much").exists()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    other = SpillFolder.inside(tmp_path)
    assert _folders(tmp_path) == {mine.path, other.path}
    mine.remove()
    other.remove()
    assert _folders(tmp_path) == set()


def test_an_engine_that_nobody_holds_leaves_nothing(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "it's home")
    engine = local_engine(home, memory_limit="60MB", threads=1)
    [folder] = _folders(home.path)
    engine.raw_sql("CREATE TEMP TABLE much AS SELECT range AS a, hash(range) AS b FROM range(12000000)")
    assert [file for file in folder.iterdir() if file.stat().st_size], "what memory does not hold lies there"
    del engine
    gc.collect()
    assert _folders(home.path) == set()


def test_a_process_that_ends_leaves_nothing_and_says_nothing(root: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom data.home import Home\nfrom features.engine import local_engine\n"
        "engine = local_engine(Home.at(sys.argv[1]), memory_limit='60MB', threads=1)\n"
        "engine.raw_sql('CREATE TEMP TABLE much AS SELECT range AS a, hash(range) AS b FROM range(12000000)')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=root, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert _folders(tmp_path) == set()
