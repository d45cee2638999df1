"""Damaged bundles: every one is refused with a message, and none takes the process that asks down with it.

Two kinds. Where bytes changed after the manifest was written, the hashes tell.
Where whoever changed them rewrote the hashes too, a throwaway process parses
the files and asks the golden rows; it may die of it, which is told.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from data.errors import ModelRefused
from tests.training.worlds import Model, bundle_of, columns_of, copied, files_of, resealed, world
from training.bundle import Bundle, schema_hash
from training.fitting import Options, fit_scorer
from training.verify import Verifier, verify_bundle

Random = np.random.Generator


def flipped(text: bytes, rng: Random) -> bytes:
    damaged = bytearray(text)
    damaged[int(rng.integers(len(text)))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def truncated(text: bytes, rng: Random) -> bytes:
    return text[: int(rng.integers(len(text)))]


def spliced(text: bytes, rng: Random) -> bytes:
    """A stretch taken out of the middle."""
    low, high = sorted(int(x) for x in rng.integers(0, len(text), 2))
    return text[:low] + text[high + 1 :]


NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
ODD_NUMBERS = (b"NaN", b"Infinity", b"-1", b"1e300", b"0", b"99999999", b"7.25", b"-2147483648")


def renumbered(text: bytes, rng: Random) -> bytes:
    """One number replaced by an odd one: NaN weights, indices out of range, sizes beyond memory."""
    found = list(NUMBER.finditer(text))
    if not found:
        return flipped(text, rng)
    spot = found[int(rng.integers(len(found)))]
    return text[: spot.start()] + ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))] + text[spot.end() :]


DAMAGE: tuple[Callable[[bytes, Random], bytes], ...] = (flipped, truncated, spliced, renumbered)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small model with trees: what is parsed thousands of times."""
    matrix = world(1_500, seed=3, signal=2.0)
    fitted = fit_scorer(matrix, Options(trials=3))
    path = bundle_of(tmp_path_factory.mktemp("small"), matrix, fitted)
    model = Model(matrix, fitted, Bundle.load(path))
    assert model.fitted.scorer.boosters, "a bundle without trees would not show what damaged ones do"
    return model


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier() as one:
        yield one


def changed(bundle: Path, folder: Path, number: int, rng: Random, names: list[str]) -> Path | None:
    """A copy with one file damaged; None where the damage happens to change nothing."""
    place = copied(bundle, folder)
    name, damage = names[number % len(names)], DAMAGE[int(rng.integers(len(DAMAGE)))]
    text = (place / name).read_bytes()
    after = damage(text, rng)
    (place / name).write_bytes(after)
    return place if after != text else None


def refuse_unsealed(small: Model, folder: Path, count: int) -> None:
    rng, names = np.random.default_rng(0), files_of(small.bundle.path)
    for number in range(count):
        damaged = changed(small.bundle.path, folder, number, rng, names)
        if damaged is not None:
            with pytest.raises(ModelRefused):
                verify_bundle(damaged)


def refuse_resealed(small: Model, verifier: Verifier, folder: Path, count: int) -> Counter[str]:
    """What became of bundles whose damage has matching hashes, by kind.

    What passes gives every golden row as before, and a finite margin for every
    other row: it changed nothing, or something that no golden row meets (a rare
    level), and could as well have been trained so.
    """
    rng = np.random.default_rng(1)
    names = [name for name in files_of(small.bundle.path) if name != "manifest.json"]
    truth, told = small.bundle.score_columns(columns_of(small)).margin, Counter[str]()
    for number in range(count):
        damaged = changed(small.bundle.path, folder, number, rng, names)
        if damaged is None:
            continue
        damaged = resealed(damaged)
        message = refusal(verifier, damaged)
        if message:
            assert len(message) > 40
            told["died" if "ended with" in message else "hung" if "no answer" in message else "refused"] += 1
        else:
            margin = Bundle.load(damaged).score_columns(columns_of(small)).margin
            assert np.isfinite(margin).all()
            told["changed nothing" if np.allclose(margin, truth, atol=1e-6) else "no golden row met it"] += 1
        shutil.rmtree(damaged)
    return told


def refusal(verifier: Verifier, bundle: Path) -> str:
    """Why it was refused; empty where it was not."""
    try:
        verifier.verify(bundle)
    except ModelRefused as refused:
        return str(refused)
    return ""


def test_hundreds_of_changed_bytes_are_refused_before_anything_is_parsed(small: Model, tmp_path: Path) -> None:
    refuse_unsealed(small, tmp_path, 850)


def test_hundreds_of_damages_with_matching_hashes_are_refused_or_mean_nothing(
    small: Model, verifier: Verifier, tmp_path: Path
) -> None:
    told = refuse_resealed(small, verifier, tmp_path, 150)
    assert told["refused"] + told["died"] > 120
    assert told["died"], "LightGBM did end its process, and nothing else"
    assert sum(told.values()) > 140
    assert told["no golden row met it"] < 0.1 * sum(told.values())


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_ten_thousand_mutations(
    small: Model, verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.verify.SECONDS", 10)
    refuse_unsealed(small, tmp_path, 6_000)
    told = refuse_resealed(small, verifier, tmp_path, 4_000)
    print(dict(told))
    assert told["no golden row met it"] < 0.1 * sum(told.values())


def edited(small: Model, folder: Path, name: str, change: Callable[[str], str]) -> Path:
    place = copied(small.bundle.path, folder)
    text = (place / name).read_text(encoding="utf-8")
    after = change(text)
    assert after != text
    (place / name).write_text(after, encoding="utf-8")
    return resealed(place)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("boosters/00.txt", lambda t: t[: len(t) // 3], "."),
        ("boosters/00.txt", lambda t: "", "."),
        ("boosters/00.txt", lambda t: t.replace("leaf_value=", "leaf_value=9", 1), "golden row"),
        ("linear.json", lambda t: t.replace('"intercept": ', '"intercept": 1', 1), "golden row"),
        ("blend.json", lambda t: re.sub(r'"weight": [0-9.e-]+', '"weight": NaN', t, count=1), "the number NaN"),
        ("calibration.json", lambda t: t.replace('"slope": 1.0', '"slope": Infinity'), "the number Infinity"),
        ("golden.json", lambda t: "[]", "no golden rows"),
        ("golden.json", lambda t: re.sub(r'"margin": [-0-9.e]+', '"margin": 0.5', t, count=1), "golden row 0"),
        ("schema.json", lambda t: t.replace('"employees"', '"staff"'), "schema hash"),
        ("encodings.json", lambda t: "{", "."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused_says_why(
    small: Model, verifier: Verifier, tmp_path: Path, name: str, change: Callable[[str], str], message: str
) -> None:
    with pytest.raises(ModelRefused, match=message):
        verifier.verify(edited(small, tmp_path, name, change))


def test_a_schema_in_another_order_is_refused_though_its_hash_agrees(
    small: Model, verifier: Verifier, tmp_path: Path
) -> None:
    place = copied(small.bundle.path, tmp_path)
    schema = json.loads((place / "schema.json").read_text())
    schema["declarations"] = schema["declarations"][::-1]
    (place / "schema.json").write_text(json.dumps(schema))
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["schema_hash"] = schema_hash(small.bundle.declarations[::-1])
    (place / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRefused, match="encoding of"):
        verifier.verify(resealed(place))


def test_a_file_that_kills_its_reader_is_told_and_the_next_bundle_is_read(
    small: Model, verifier: Verifier, tmp_path: Path
) -> None:
    """A child index far outside its tree makes LightGBM read memory that is not its own."""
    for name in files_of(small.bundle.path):
        if name.startswith("boosters/"):
            break
    wild = edited(small, tmp_path, name, lambda t: re.sub(r"(?m)^(left_child=)-?\d+", r"\g<1>-99999999", t))
    with pytest.raises(ModelRefused):
        verifier.verify(wild)
    verifier.verify(small.bundle.path)


def test_a_reader_that_dies_is_named_by_its_signal(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.verify.READER", "import os; os.abort()")
    with pytest.raises(ModelRefused, match="SIGABRT"):
        verify_bundle(small.bundle.path)


def test_a_reader_that_hangs_is_ended(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.verify.READER", "import signal; signal.pause()")
    monkeypatch.setattr("training.verify.SECONDS", 0.2)
    with pytest.raises(ModelRefused, match="no answer"):
        verify_bundle(small.bundle.path)
