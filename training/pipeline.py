"""One training run, from the store to a registered version: the I/O around the procedure in training.fitting."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from data.company import Company, Target
from data.errors import ModelRefused, UsageError
from data.home import Home
from data.store.operational import Store
from data.store.plain import HistorySource, chosen_history
from features.catalogue import declarations as catalogue
from features.declaration import Declaration
from features.firewall import Verdict, refuse_blocked, verdicts
from training.aims import Aim, priced
from training.assessment import Assessment, assess
from training.bundle import Bundle
from training.card import LANGS, Lang, model_card
from training.compiled import CompiledScorer
from training.dates import when
from training.deal_fitting import fit_deals
from training.environment import environment
from training.evaluation import Report, evaluate, flat_metrics
from training.evidence import NOISE, tells_apart
from training.fitting import Fitted, Options, fit_scorer, fit_twin, prior_only
from training.gate import Judged, agreement_of, references
from training.golden import golden_rows
from training.matrix import Matrix, informative
from training.parts import Scorer
from training.plots import draw_plots
from training.points import points_scorer
from training.policies import chosen_policy
from training.policy import Policy
from training.registry import Registry, Version
from training.rows import History, mean_amount, read_history, training_matrix
from training.writing import write_bundle

LEAST_OUTCOMES = 40
"""Below this many lead cycles with the outcome, points are given instead of probabilities."""
GOLDEN_ROWS = 16

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    target: str | None = None
    """None: won, or the company's only target."""
    horizon: int | None = None
    """Microseconds; None: the target's own."""
    as_of: int | None = None
    """None: the present."""
    aim: Aim = field(default_factory=Aim)
    """What decides the threshold."""
    options: Options = field(default_factory=Options)
    keep_prior: bool = False
    history: HistorySource | None = None
    """What to read instead of the store: a snapshot, plain Parquet tables, or tables by an Ibis connection."""


@dataclass(frozen=True)
class Trained:
    history: History
    matrix: Matrix
    bundle: Bundle
    policy: Policy
    version: Version
    fitted: Fitted | None
    """None for the points rung."""
    report: Report | None
    assessment: Assessment | None = None


def chosen_target(company: Company, request: Request) -> Target:
    """The target asked for, its horizon replaced where one is given."""
    names = [t.name for t in company.targets]
    name = request.target or ("won" if "won" in names or len(names) != 1 else names[0])
    target = company.target(name)
    if request.horizon is None:
        return target
    if company.time == "row":
        raise UsageError("--horizon", expected="no horizon: the data have no dates", remedy="leave it out")
    return replace(target, horizon=request.horizon)


def train(
    store: Store, home: Home, registry: Callable[[], Registry], request: Request, *, now: int, say: Say
) -> Trained:
    """Trains, evaluates and registers one model; writes its bundle and policy. Promotes nothing.

    Raises NotFound without history, DataRefused where nothing has matured or
    the leak firewall blocks a column,
    ModelRefused("not enough signal") where nothing beats the constant rate
    beyond noise, neither forward in time nor among leads of the same time,
    unless `request.keep_prior`.
    """
    say("taking a snapshot")
    snapshot = chosen_history(store, home, request.history, now=now)
    target = chosen_target(snapshot.company, request)
    say("rows and labels")
    history = read_history(snapshot, target, as_of=request.as_of or now, home=home)
    priced(request.aim, mean_amount(history))  # refused now rather than after minutes of fitting
    declarations = catalogue(snapshot.company, home.own_features)
    say("leak firewall")
    refuse_blocked(_blockable(history, declarations))
    say("features as of each row")
    matrix = training_matrix(history, declarations, seed=request.options.seed)
    if history.outcomes < LEAST_OUTCOMES:
        return _points(store, home, registry, request, history, matrix, now, say)
    fitted = fit_scorer(matrix, request.options, progress=say)
    say("evaluating, forward in time and in a random split")
    report = evaluate(matrix, fitted, request.options)
    if not fitted.proof.forward and not tells_apart(report.random_evidence):
        if not request.keep_prior:
            raise not_enough_signal(history, fitted)
        fitted = replace(fitted, scorer=prior_only(fitted.scorer))
    say("fitting without the newest slice, for the gate")
    facts = _facts(history, matrix, request, fitted, report) | _gate_facts(home, history, matrix, fitted, request)
    bundle = _written(home, history, fitted.scorer, fitted.declarations, matrix, facts, proven=True)
    return _registered(store, home, registry, request, history, matrix, bundle, fitted, report, now, say)


def _blockable(history: History, declarations: Sequence[Declaration]) -> list[Verdict]:
    """Verdicts on what can block a feature: filled after the outcome, or existing for one outcome only."""
    snapshot = history.snapshot
    tables = snapshot.tables(history.connection)
    return verdicts(
        history.connection,
        tables,
        snapshot.company,
        declarations,
        history.target,
        as_of=history.as_of,
        strengths=False,
    )


def not_enough_signal(history: History, fitted: Fitted) -> ModelRefused:
    found = fitted.proof.honest
    return ModelRefused(
        f"not enough signal for {history.target.name}",
        f"a gain in log loss over the constant rate of {found.gain:.4f} with a standard error of "
        f"{found.gain_error:.4f}, and an AUC of {found.order:.3f} with one of {found.order_error:.3f}, "
        f"forward in time, from {history.outcomes} outcomes",
        expected=f"a gain of more than {NOISE} standard errors; nothing was registered",
        remedy="add history or columns that tell leads apart, or register the constant rate with --keep-prior",
    )


def _points(
    store: Store,
    home: Home,
    registry: Callable[[], Registry],
    request: Request,
    history: History,
    matrix: Matrix,
    now: int,
    say: Say,
) -> Trained:
    useful = informative(matrix)
    facts = _facts(history, matrix, request, None, None)
    bundle = _written(home, history, points_scorer(useful), useful.declarations, matrix, facts, proven=False)
    return _registered(store, home, registry, request, history, matrix, bundle, None, None, now, say)


def _gate_facts(home: Home, history: History, matrix: Matrix, fitted: Fitted, request: Request) -> dict[str, Any]:
    """Writes the twin's bundle; `gate` says which it is, its slice, and how it did there."""
    twin = fit_twin(matrix, fitted, request.options)
    if twin is None:
        return {}
    if fitted.scorer.prior_weight == 1.0:
        twin = replace(twin, scorer=prior_only(twin.scorer))
    rows = twin.rows
    facts = {"twin_of": {"backtest": fitted.backtest.kind, "options": asdict(request.options)}}
    bundle = _written(
        home, history, twin.scorer, fitted.declarations, matrix, facts, proven=True, as_of=int(twin.begins)
    )
    gated = bundle.scorer.margins(rows.columns)
    shipped = CompiledScorer(fitted.scorer, fitted.declarations).margins(rows.columns)
    judged = Judged(rows.label, rows.weight, rows.group)
    gate = {
        "twin": bundle.hash,
        "begins": int(twin.begins),
        "ends": int(twin.ends),
        "unchosen": twin.unchosen,
        "references": [c.to_dict() for c in references(gated, twin.prior, twin.logistic, judged)],
        "agreement": agreement_of(shipped, gated, rows.weight).to_dict(),
    }
    return {"gate": gate}


def _written(
    home: Home,
    history: History,
    scorer: Scorer,
    declarations: tuple[Declaration, ...],
    matrix: Matrix,
    facts: dict[str, Any],
    *,
    proven: bool,
    as_of: int | None = None,
) -> Bundle:
    rows = matrix.keep_features([d.name for d in declarations])
    spots = np.unique(np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int))
    path = write_bundle(
        home.bundles,
        scorer,
        declarations=declarations,
        company=history.snapshot.company,
        target=history.target,
        as_of=history.as_of if as_of is None else as_of,
        snapshot=history.snapshot.hash,
        proven=proven,
        golden=golden_rows(scorer, [rows.row(int(spot)) for spot in spots]),
        # A twin is asked for margins alone, and has not seen the newest of these rows.
        deals=fit_deals(rows, scorer.columns) if as_of is None else None,
        facts=facts,
    )
    bundle = Bundle.load(path)
    bundle.check_golden()
    return bundle


def _registered(
    store: Store,
    home: Home,
    registry: Callable[[], Registry],
    request: Request,
    history: History,
    matrix: Matrix,
    bundle: Bundle,
    fitted: Fitted | None,
    report: Report | None,
    now: int,
    say: Say,
) -> Trained:
    say("choosing the threshold")
    policy = chosen_policy(history, bundle, request.aim, fitted, seed=request.options.seed)
    store.save_policy(policy.policy_id, policy.target, policy.to_json(), now=now)
    assessed = assess(history, matrix, fitted, report, policy, request.options, say) if fitted and report else None
    say("registering")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        plots = draw_plots(place, assessed, bundle, matrix, seed=request.options.seed) if assessed else []
        cards = _cards(home, place, history, bundle, policy, fitted, report, assessed, plots)
        (place / "environment.json").write_text(environment(), encoding="utf-8")
        (place / "report.json").write_text(_report_json(report, assessed), encoding="utf-8")
        version = registry().register(
            history.target.name,
            now=now,
            parameters=_parameters(history, request, fitted),
            metrics=_metrics(history, report, assessed),
            tags=_tags(history, bundle, policy),
            folders={"bundle": bundle.path},
            files={"plots": plots, "": [*cards, place / "environment.json", place / "report.json"]},
        )
    return Trained(history, matrix, bundle, policy, version, fitted, report, assessed)


def _metrics(history: History, report: Report | None, assessed: Assessment | None) -> dict[str, float]:
    found = flat_metrics(report) if report else {"outcomes": float(history.outcomes)}
    return found | (assessed.metrics() if assessed else {})


def _report_json(report: Report | None, assessed: Assessment | None) -> str:
    """All figures of the run, for whoever wants more than the metrics."""
    found = {"figures": flat_metrics(report) if report else {}, "assessment": assessed.to_dict() if assessed else {}}
    return json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)


def _cards(
    home: Home,
    folder: Path,
    history: History,
    bundle: Bundle,
    policy: Policy,
    fitted: Fitted | None,
    report: Report | None,
    assessed: Assessment | None,
    plots: list[Path],
) -> list[Path]:
    """Markdown and HTML in each language, in `folder`; the HTML also under the home's reports, for people."""
    written = []
    for lang in LANGS:
        card = model_card(history, bundle, policy, fitted, report, assessed, lang=lang, plots=plots)
        suffix = "" if lang == "en" else f".{lang}"
        for ending, text in ((".md", card.markdown()), (".html", card.html())):
            path = folder / f"model_card{suffix}{ending}"
            path.write_text(text, encoding="utf-8")
            written.append(path)
        card_page(home, bundle, lang).write_text(card.html(), encoding="utf-8")
    return written


def card_page(home: Home, bundle: Bundle, lang: Lang) -> Path:
    """Where people find a model's card."""
    return home.reports / f"model-{bundle.target}-{bundle.hash[:12]}.{lang}.html"


def _facts(
    history: History, matrix: Matrix, request: Request, fitted: Fitted | None, report: Report | None
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "rows": len(matrix),
        "outcomes": history.outcomes,
        "base_rate": float(np.average(matrix.label, weights=matrix.weight)),
        "recorded_from": history.labelled.recorded_from,
        "options": asdict(request.options),
        **({"withdrawn_since": history.snapshot.withdrawn_since} if history.snapshot.withdrawn_since else {}),
    }
    if fitted is None or report is None:
        return facts
    blend = report.rungs["blend"]
    return facts | {
        "backtest": fitted.backtest.kind,
        "slices": [{"begins": f.begins, "ends": f.ends, "rows": len(f.test)} for f in fitted.backtest.folds],
        "choice": fitted.choice.described(),
        "forward": {"auc": blend.auc, "log_loss": blend.log_loss, "ece": blend.ece},
    }


def _parameters(history: History, request: Request, fitted: Fitted | None) -> dict[str, Any]:
    return {
        "target": history.target.name,
        "horizon": history.target.horizon,
        "as_of": history.as_of,
        "snapshot": history.snapshot.hash,
        **{name: value for name, value in asdict(request.aim).items() if value is not None},
        **asdict(request.options),
        **_slices(history, fitted),
        **(fitted.choice.described() if fitted else {"rung": "points"}),
    }


def _slices(history: History, fitted: Fitted | None) -> dict[str, str]:
    folds = fitted.backtest.folds if fitted else ()
    return {f"slice {k}": f"{when(history, f.begins)} to {when(history, f.ends)}" for k, f in enumerate(folds, 1)}


def _tags(history: History, bundle: Bundle, policy: Policy) -> dict[str, str]:
    return {
        "bundle_hash": bundle.hash,
        "policy_id": policy.policy_id,
        "snapshot": history.snapshot.hash,
        "as_of": str(history.as_of),
        "proven": "true" if bundle.proven else "false",
    }
