"""The report of one run: a document (JSON), three lines in plain words, a table. Pure but for `write_document`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from data.times import render_instant
from monitoring.decision import Decision
from monitoring.evidence import Evidence, Feed, Freshness, Shift
from monitoring.gathering import Watch
from monitoring.window import Window, window_text

Lang = Literal["ja", "en"]
FORMAT = 1
"""Rises when the same evidence would be written otherwise; part of the run's id."""

_LEVELS = {
    "OK": {"ja": "正常", "en": "OK"},
    "watch": {"ja": "注意", "en": "watch"},
    "act": {"ja": "要対応", "en": "act"},
}
_ACTIONS = {
    "nothing": {"ja": "対応は不要です", "en": "nothing to do"},
    "tell": {"ja": "変化をお知らせします", "en": "something moved; nothing is changed"},
    "retune": {"ja": "しきい値の再調整", "en": "retune the threshold"},
    "recalibrate": {"ja": "確率の再較正", "en": "recalibrate"},
    "retrain": {"ja": "再学習", "en": "retrain"},
    "roll_back": {"ja": "至急、前の版へ戻してください", "en": "roll back now"},
}
_TO_TELL = {"scores": "retune --dry-run", "operating_point": "retune --dry-run", "worse_once": "monitor"}
"""Where a finding that is only told leads; data are looked at with `check`."""
MOST_FEATURES = 10


def run_id(watch: Watch, window: Window) -> str:
    """The same window, snapshot, bundle and policy are the same run: 16 hexadecimal digits."""
    named = [FORMAT, window.start, window.end, window.step, watch.snapshot.hash, watch.bundle.hash]
    named += [watch.deployment.policy_id, watch.deployment.deployment_id]
    named += ["frozen"] if watch.frozen else []
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]


def document(watch: Watch, window: Window, evidence: Evidence, decision: Decision, page: Path) -> dict[str, Any]:
    """What one run found, as plain JSON; no ids of leads and no personal data."""
    timezone = watch.snapshot.company.timezone
    return {
        "run_id": run_id(watch, window),
        "target": watch.bundle.target,
        "window": {
            "text": window.text(timezone),
            "length": window_text(window),
            "start": window.start,
            "end": window.end,
            "ends": "" if window.row_time else render_instant(window.end, timezone),
        },
        "snapshot": watch.snapshot.hash,
        **({"withdrawn_since": watch.snapshot.withdrawn_since} if watch.snapshot.withdrawn_since else {}),
        "bundle": watch.bundle.hash,
        "model_version": watch.deployment.model_version,
        "policy": watch.deployment.policy_id,
        "deployment": watch.deployment.deployment_id,
        "decision": decision.to_dict(),
        "evidence": evidence.to_dict(),
        "page": page.name,
    }


def write_document(found: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8")


def three_lines(found: Mapping[str, Any], lang: Lang) -> list[str]:
    """OK, watch or act; why; the next command."""
    decision = found["decision"]
    level, action = _LEVELS[decision["level"]][lang], _ACTIONS[decision["action"]][lang]
    window, target = found["window"]["text"], found["target"]
    why = ("。" if lang == "ja" else "; ").join(reason[lang] for reason in decision["reasons"][:3])
    more = len(decision["reasons"]) - 3
    if more > 0:
        why += f"、ほか{more}件" if lang == "ja" else f"; and {more} more"
    label = {"ja": ("理由", "次の操作"), "en": ("why", "next")}[lang]
    first = f"{level}: {action} ({target}, {window})" if lang == "en" else f"{level}: {action}({target}、{window})"
    if not decision["automatic"]:
        first += " [frozen]" if lang == "en" else "【凍結中】"
    return [first, f"{label[0]}: {why}", f"{label[1]}: {next_command(found)}"]


def next_command(found: Mapping[str, Any]) -> str:
    """The one command line to type next."""
    decision = found["decision"]
    if decision["action"] == "tell":
        command = _TO_TELL.get(decision["reasons"][0]["rule"], "check")
        return f"leadscore {command}" if command == "check" else f"leadscore {command} --target {found['target']}"
    command = {
        "nothing": f"monitor --window {found['window']['length']}",
        "retune": "retune",
        "recalibrate": "train",
        "retrain": "train",
        "roll_back": "retune --undo" if _policy_changed(found) else "rollback",
    }[decision["action"]]
    return f"leadscore {command} --target {found['target']}"


def _policy_changed(found: Mapping[str, Any]) -> bool:
    change = found["evidence"]["change"]
    return change is not None and change["kind"] == "policy"


def table(found: Mapping[str, Any], lang: Lang) -> Table:
    """Every figure with its limit, what is over it marked."""
    heads = {"ja": ("項目", "今回", "基準", "限界", "判定"), "en": ("figure", "window", "reference", "limit", "")}[lang]
    shown = Table(*heads, title_justify="left")
    for row in _figures(found["evidence"], lang):
        shown.add_row(*row)
    return shown


Row = tuple[str, str, str, str, str]


def _figures(evidence: Mapping[str, Any], lang: Lang) -> Iterator[Row]:
    yield _words("rows", lang), f"{evidence['rows']:,}", f"{evidence['reference_rows']:,}", "", ""
    if evidence["score"]:
        yield _shift_row(_words("scores", lang), evidence["score"])
    if evidence["recent"]:
        yield _shift_row(_words("recent", lang), evidence["recent"])
    yield from _performance_rows(evidence, lang)
    if evidence["freshness"]:
        fresh = Freshness(**evidence["freshness"])
        days = f"{fresh.usual:.1f}"
        yield _words("silent", lang), f"{fresh.silent_days:.1f}", days, "", "!" if fresh.stale else ""
    for feed in evidence["feeds"]:
        seen = Feed(**feed)
        mark = "!" if seen.dried_up or seen.flooded else ""
        yield seen.name, f"{seen.count:.0f}", f"{seen.low:.0f}–{seen.high:.0f}", "", mark
    ordered = sorted(evidence["features"], key=lambda s: (s["p_adjusted"], -s["share_moved"]))
    for shift in ordered[:MOST_FEATURES]:
        yield _shift_row(shift["column"], shift)


def _shift_row(name: str, shift: Mapping[str, Any]) -> Row:
    over = "!" if Shift(**shift).alarmed else ""
    missing = f"∅ {shift['missing']:.0%} ← {shift['missing_reference']:.0%}" if shift["missing"] else ""
    return name, f"PSI {shift['psi']:.3f}, {shift['share_moved']:.0%}", missing, f"{shift['critical']:.3f}", over


def _performance_rows(evidence: Mapping[str, Any], lang: Lang) -> Iterator[Row]:
    point, matured = evidence["operating"], evidence["matured"]
    if point:
        outside = not point["low"] <= point["handovers_per_week"] <= point["high"]
        limit = f"{point['low']:.0f}–{point['high']:.0f}"
        capacity = "" if point["capacity_per_week"] is None else f"{point['capacity_per_week']:.0f}"
        over = "!" if outside else ""
        yield _words("handovers", lang), f"{point['handovers_per_week']:.0f}", capacity, limit, over
    if not matured:
        yield _words("matured", lang), _words("none", lang), "", "", ""
        return
    yield _words("matured", lang), f"{matured['rows']:,} / {matured['conversions']:,}", "", "", ""
    yield _words("base", lang), f"{matured['base_rate']:.2%}", f"{matured['predicted']:.2%}", "", ""
    for name, sign in (("auc", 1), ("log_loss", -1), ("ece", -1)):
        value, bound = matured[name], matured[f"{name}_bound"]
        mark = "!" if value is not None and sign * (value - bound) < 0 else ""
        yield _words(name, lang), "–" if value is None else f"{value:.3f}", "", f"{bound:.3f}", mark
    if matured["lift"] is not None:
        yield _words("lift", lang), f"{matured['lift']:.2f}", "", "", ""


_WORDS = {
    "rows": {"ja": "行(リード×週)", "en": "rows (leads × weeks)"},
    "scores": {"ja": "スコアの分布(学習時と比較)", "en": "scores, against training"},
    "recent": {"ja": "スコアの分布(前の期間と比較)", "en": "scores, against the window before"},
    "handovers": {"ja": "引き渡し(週あたり件数)", "en": "hand-overs a week"},
    "matured": {"ja": "結果の確定したリード / 成約", "en": "matured leads / conversions"},
    "silent": {"ja": "最新の記録からの日数", "en": "days since the newest record"},
    "none": {"ja": "まだありません", "en": "no outcomes yet"},
    "base": {"ja": "成約率(実績、予測)", "en": "base rate, predicted"},
    "auc": {"ja": "AUC", "en": "AUC"},
    "log_loss": {"ja": "対数損失", "en": "log loss"},
    "ece": {"ja": "較正誤差(ECE)", "en": "calibration error (ECE)"},
    "lift": {"ja": "上位10%のリフト", "en": "lift of the top tenth"},
}


def _words(key: str, lang: Lang) -> str:
    return _WORDS[key][lang]
