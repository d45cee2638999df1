"""What the company declared and decided: versions of it, never overwritten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data.company import Company, CompanyColumn, Target
from data.errors import DataRefused, NotFound
from data.home import Home
from data.store.deployments import Deployment
from data.store.operational import Store

DEPLOYMENT = Deployment(0, "won", "champion", "b1", "1", "p1", "promote", 1_000, "佐藤", "first")


def test_the_newest_declaration_counts_and_survives(home: Home) -> None:
    first = Company(targets=(Target("won", "won", 90),), columns=(CompanyColumn("業種", label_ja="業種"),))
    second = replace(first, currency="EUR", history_from={"touchpoints": 5})
    with Store.open(home) as store:
        assert store.company() is None
        for number, company in enumerate((first, second)):
            store.save_company(company, now=number)
    with Store.open(home) as store:
        assert store.company() == second


def test_the_same_declaration_again_is_no_new_version(store: Store) -> None:
    for now in (1, 2):
        store.save_company(Company(), now=now)
    with store.reading() as connection:
        assert connection.exec_driver_sql("SELECT loaded_at FROM company").scalars().all() == [1]


def test_a_policy_is_kept_under_its_id(store: Store) -> None:
    for _ in range(2):
        store.save_policy("p1", "won", '{"threshold": 0.2}', now=1)
    assert store.policy("p1") == '{"threshold": 0.2}'
    with pytest.raises(DataRefused, match="policy p1"):
        store.save_policy("p1", "won", '{"threshold": 0.3}', now=2)
    with pytest.raises(NotFound, match="policy p2"):
        store.policy("p2")


def test_the_newest_deployment_of_a_target_and_role_is_in_force(store: Store) -> None:
    given = [
        DEPLOYMENT,
        replace(DEPLOYMENT, target="sql", bundle_hash="b2"),
        replace(DEPLOYMENT, role="challenger", bundle_hash="b3"),
        # A clock that ran backwards does not bring an older row back into force.
        replace(DEPLOYMENT, action="retune", policy_id="p2", occurred_at=10),
    ]
    written = [store.deploy(deployment) for deployment in given]

    assert written == [replace(d, deployment_id=i) for i, d in enumerate(given, 1)]
    assert store.deployment("won") == written[3]
    assert store.deployment("sql") == written[1]
    assert store.deployment("won", "challenger") == written[2]
    assert store.deployment("sql", "challenger") is None
    assert store.deployments("won") == [written[0], written[2], written[3]]
    assert store.deployments("other") == []


def test_runs_by_kind_in_order(store: Store) -> None:
    for kind, now in (("monitor", 5), ("retune", 6), ("monitor", 7)):
        store.record_run(kind, f'{{"at": {now}}}', now=now)
    assert store.runs("monitor") == [(5, '{"at": 5}'), (7, '{"at": 7}')]
    assert store.runs("none") == []
