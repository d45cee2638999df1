"""Writes a bundle: the same scorer, schema and golden rows give the same bytes, so the same hash."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.company import Company, Target
from features.declaration import Declaration
from training.bundle import FORMAT, schema_hash
from training.deals import Deals
from training.parts import Scorer, blend_document, booster_file, encodings_document, linear_document


def write_bundle(
    bundles: Path,
    scorer: Scorer,
    *,
    declarations: Sequence[Declaration],
    company: Company,
    target: Target,
    as_of: int,
    snapshot: str,
    proven: bool,
    golden: Sequence[Mapping[str, Any]] = (),
    deals: Deals | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """`bundles`/<hash>, written beside and moved into place whole; returns its path.

    `golden` rows carry `values`, `margin`, `contributions` (training.golden
    computes them independently). `facts` are further manifest entries (slices,
    seed, parameters): all that differs between two trainings must come from them.
    """
    files = _files(scorer, declarations, company, golden)
    if deals is not None:
        files["deals.json"] = _json(deals.to_document())
    manifest = {
        **(facts or {}),
        "format": FORMAT,
        "target": asdict(target),
        "as_of": as_of,
        "snapshot": snapshot,
        "proven": proven,
        "schema_hash": schema_hash(declarations),
        "files": {name: hashlib.sha256(text).hexdigest() for name, text in sorted(files.items())},
    }
    files["manifest.json"] = _json(manifest)
    return _placed(bundles, hashlib.sha256(files["manifest.json"]).hexdigest(), files)


def _files(
    scorer: Scorer, declarations: Sequence[Declaration], company: Company, golden: Sequence[Mapping[str, Any]]
) -> dict[str, bytes]:
    schema = {"declarations": [d.to_dict() for d in declarations], "company": json.loads(company.to_json())}
    files = {
        "schema.json": _json(schema),
        "encodings.json": _json(encodings_document(scorer)),
        "linear.json": _json(linear_document(scorer.linear)),
        "blend.json": _json(blend_document(scorer)),
        "calibration.json": _json(asdict(scorer.calibration)),
        "golden.json": _json([dict(row) for row in golden]),
    }
    return files | {booster_file(i): part.text.encode() for i, part in enumerate(scorer.boosters)}


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False).encode()


def _placed(bundles: Path, name: str, files: Mapping[str, bytes]) -> Path:
    final, draft = bundles / name, bundles / f".{name}.draft"
    if final.is_dir():
        return final
    shutil.rmtree(draft, ignore_errors=True)
    for relative, text in files.items():
        (draft / relative).parent.mkdir(parents=True, exist_ok=True)
        (draft / relative).write_bytes(text)
    draft.rename(final)
    return final
