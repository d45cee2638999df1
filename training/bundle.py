"""A bundle is a trained scorer as data: LightGBM text, JSON, no code, no pickle.

    bundles/<hash>/
      manifest.json     target, horizon, as_of, snapshot, schema hash, sha256 of every other file
      schema.json       the declarations, in the order of the matrix columns, and the company's calendar
      encodings.json    category → smoothed out-of-fold log-odds, per category feature
      linear.json       terms of the linear part
      blend.json        prior margin and the weight of each part
      boosters/NN.txt   LightGBM models in native text
      calibration.json  slope and shift in margin space
      deals.json        what a deal comes to and when, for expected values; may be absent
      golden.json       rows with the margins and contributions they must give

The hash of a bundle is the sha256 of its manifest. Scoring here needs numpy
and lightgbm only.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.company import Company, Target
from data.errors import DataRefused, LeadscoreError, ModelRefused, NotFound
from features.declaration import Declaration
from training.compiled import CompiledScorer
from training.deals import Deals, DealsOfBundle
from training.parts import scorer_from_documents

FORMAT = 1
GOLDEN_TOLERANCE = 1e-9

Value = float | str | None


@dataclass(frozen=True, slots=True)
class Scored:
    """One row's answer; base + Σ contributions = base + fit + behaviour = margin."""

    margin: float
    """Calibrated log-odds."""
    base: float
    """What every lead starts from, in log-odds."""
    fit: float
    """Sum of the contributions of fit features."""
    behaviour: float
    """Sum of the contributions of behaviour features."""
    probability: float | None
    """None while the scorer is unproven."""
    contributions: tuple[float, ...]
    """One a declaration, in their order, in log-odds."""


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """n rows' answers; the arrays are [n], contributions [n, k] in declaration order."""

    margin: np.ndarray
    """Calibrated log-odds."""
    base: float
    """What every lead starts from, in log-odds."""
    fit: np.ndarray
    """Sums of the contributions of fit features."""
    behaviour: np.ndarray
    """Sums of the contributions of behaviour features."""
    probability: np.ndarray
    """NaN while the scorer is unproven."""
    contributions: np.ndarray
    """In log-odds; base + each row = its margin."""


@dataclass(frozen=True)
class Bundle:
    path: Path
    hash: str
    manifest: Mapping[str, Any]
    declarations: tuple[Declaration, ...]
    company: Company
    golden: tuple[Mapping[str, Any], ...]
    scorer: CompiledScorer
    deals: DealsOfBundle | None = None
    """None in bundles without deals.json."""

    @staticmethod
    def load(path: Path) -> Bundle:
        """Reads a bundle folder after comparing every file with the manifest's sha256.

        A LightGBM text that is corrupt kills the interpreter, hence nothing is
        parsed before all hashes agree. Raises NotFound, ModelRefused.
        """
        contents = read_verified(path)
        try:
            return _assembled(path, contents)
        except LeadscoreError:
            raise
        except Exception as error:
            raise _refused(path, f"{type(error).__name__}: {error}", "a complete bundle of this version") from None

    @property
    def target(self) -> str:
        return str(self.manifest["target"]["name"])

    @property
    def target_definition(self) -> Target:
        return Target(**self.manifest["target"])

    @property
    def horizon(self) -> int:
        """Microseconds; the probability is that of the outcome in [as_of, as_of + horizon)."""
        return int(self.manifest["target"]["horizon"])

    @property
    def proven(self) -> bool:
        """False for the points rung: a score and reasons, no probability."""
        return bool(self.manifest["proven"])

    @property
    def as_of(self) -> int:
        """What was recorded before this instant trained it."""
        return int(self.manifest["as_of"])

    def explain(self, values: Sequence[Value]) -> Scored:
        """One row, values in declaration order: margin, parts, contributions. About 50–150 µs."""
        if len(values) != len(self.declarations):
            raise DataRefused(
                "feature row", f"{len(values)} values", expected=f"{len(self.declarations)}, in the schema's order"
            )
        contributions, fit, behaviour = self.scorer.explain(values)
        margin = self.scorer.base + fit + behaviour
        return Scored(
            margin=margin,
            base=self.scorer.base,
            fit=fit,
            behaviour=behaviour,
            probability=logistic(margin) if self.proven else None,
            contributions=tuple(contributions.tolist()),
        )

    def score_columns(self, columns: Mapping[str, np.ndarray | Sequence[Value]], *, threads: int = 1) -> ScoredTable:
        """Many rows: one array or list per declaration name; bit for bit what `explain` gives for each.

        Refuses a table that lacks a declared feature, naming what is missing;
        columns that no declaration names are left alone.
        """
        missing = [d.name for d in self.declarations if d.name not in columns]
        if missing:
            raise DataRefused(
                "feature table",
                "no column " + ", ".join(missing),
                expected="every feature of the model's schema",
                remedy="compute the features with the bundle's own declarations",
            )
        contributions, fit, behaviour = self.scorer.explain_many(
            [columns[d.name] for d in self.declarations], threads=threads
        )
        margin = self.scorer.base + fit + behaviour
        probability = _logistic(margin) if self.proven else np.full(len(margin), np.nan)
        return ScoredTable(margin, self.scorer.base, fit, behaviour, probability, contributions)

    def check_golden(self) -> None:
        """Raises ModelRefused where a golden row does not give its margin and contributions again, or there is none."""
        if not self.golden:
            raise _refused(self.path, "no golden rows", "rows with the margins they must give")
        for number, row in enumerate(self.golden):
            scored = self.explain(row["values"])
            expected = np.asarray([row["margin"], *row["contributions"]])
            received = np.asarray([scored.margin, *scored.contributions])
            if received.shape != expected.shape or not np.allclose(
                received, expected, rtol=GOLDEN_TOLERANCE, atol=GOLDEN_TOLERANCE
            ):
                raise _refused(self.path, f"golden row {number} gives {scored.margin!r}", f"{row['margin']!r}")


def logistic(margin: float) -> float:
    """1 / (1 + e^−margin), without overflow."""
    if margin >= 0:
        return 1.0 / (1.0 + math.exp(-margin))
    grown = math.exp(margin)
    return grown / (1.0 + grown)


def _logistic(margin: np.ndarray) -> np.ndarray:
    return np.array([logistic(m) for m in margin.tolist()], dtype=np.float64)


def schema_hash(declarations: Sequence[Declaration]) -> str:
    """sha256 over the declarations in order: what a feature row must have been computed by."""
    return _hash_of([d.to_dict() for d in declarations])


def _hash_of(raw_declarations: list[Any]) -> str:
    text = json.dumps(raw_declarations, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_verified(path: Path) -> dict[str, bytes]:
    """Every file of the bundle by its relative name, hashes compared; raises NotFound, ModelRefused."""
    if not (path / "manifest.json").is_file():
        raise NotFound(f"bundle {path.name}", "no manifest.json", expected="a bundle folder as `train` writes it")
    contents = {"manifest.json": (path / "manifest.json").read_bytes()}
    found = hashlib.sha256(contents["manifest.json"]).hexdigest()
    if len(path.name) == len(found) and path.name != found:
        raise _refused(path, f"manifest with hash {found}", "the hash the folder is named by")
    for name, expected in _listed_files(path, contents["manifest.json"]).items():
        if ".." in Path(name).parts or not (path / name).is_file():
            raise _refused(path, f"no file {name}", "every file its manifest lists")
        contents[name] = (path / name).read_bytes()
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != expected:
            raise _refused(path, f"{name} with sha256 {found}", str(expected))
    return contents


def _listed_files(path: Path, manifest: bytes) -> dict[str, str]:
    try:
        raw = json.loads(manifest)
        if raw["format"] != FORMAT:
            raise _refused(path, f"format {raw['format']}", f"format {FORMAT}")
        return dict(raw["files"])
    except (ValueError, KeyError, TypeError):
        raise _refused(path, "an unreadable manifest.json", "JSON with `format` and `files`") from None


def _assembled(path: Path, contents: dict[str, bytes]) -> Bundle:
    documents = {
        name: json.loads(text, parse_constant=_finite, parse_float=_finite)
        for name, text in contents.items()
        if name.endswith(".json")
    }
    manifest, schema = documents["manifest.json"], documents["schema.json"]
    declarations = tuple(Declaration.from_dict(raw) for raw in schema["declarations"])
    # Over the stored text, so that a later field of Declaration does not disown old bundles.
    if _hash_of(schema["declarations"]) != manifest["schema_hash"]:
        raise _refused(path, "declarations of another schema hash", manifest["schema_hash"])
    encodings = documents["encodings.json"]
    for declaration, encoding in zip(declarations, encodings, strict=True):
        if declaration.is_category != (encoding["type"] == "category"):
            raise _refused(path, f"an encoding of {encoding['type']}s for {declaration.name}", "one of its own type")
    texts = {name: text.decode() for name, text in contents.items() if name.startswith("boosters/")}
    scorer = scorer_from_documents(
        encodings,
        documents["linear.json"],
        documents["blend.json"],
        documents["calibration.json"],
        texts,
    )
    deals = documents.get("deals.json")
    return Bundle(
        path=path,
        hash=hashlib.sha256(contents["manifest.json"]).hexdigest(),
        manifest=manifest,
        declarations=declarations,
        company=Company.from_json(json.dumps(schema["company"])),
        golden=tuple(documents["golden.json"]),
        scorer=CompiledScorer(scorer, declarations),
        deals=None if deals is None else DealsOfBundle(Deals.of_document(deals), scorer.columns, declarations),
    )


def _finite(text: str) -> float:
    """A number of a bundle's JSON; none that was written there was NaN or beyond all bounds."""
    value = float(text.replace("Infinity", "inf"))
    if not math.isfinite(value):
        raise ValueError(f"the number {text}")
    return value


def _refused(path: Path, received: str, expected: str) -> ModelRefused:
    return ModelRefused(
        f"bundle {path.name[:12]}", received, expected=expected, remedy="restore it from the registry, or train again"
    )
