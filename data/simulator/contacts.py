"""Names, companies, mail addresses and telephone numbers of one block, drawn from `names`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.simulator import names
from data.simulator.population import Accounts, Leads
from data.simulator.text import identifiers, masked, picked
from data.simulator.world import MISSING

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Contacts:
    """Text columns, one entry a lead."""

    name: pa.Array
    name_kana: pa.Array
    email: pa.Array
    phone: pa.Array


@dataclass(frozen=True)
class Companies:
    """Text columns, one entry an account."""

    name: pa.Array
    domain: pa.Array


def companies(accounts: Accounts, first_number: int, rng: np.random.Generator) -> Companies:
    """前株 for three in five, 後株 for the rest, 有限会社 for some of the smallest; foreign ones in Latin letters."""
    count = len(accounts)
    stem = rng.integers(0, len(names.COMPANY_STEMS), count)
    word = rng.integers(0, 4, count)
    industry = np.where(accounts.industry >= 0, accounts.industry, 2)
    form = rng.random(count)
    limited = (accounts.band == 0) & (form > 0.85)
    core = _joined(picked([s for s, _ in names.COMPANY_STEMS], stem), _words(industry, word))
    company = pa.array(np.where(limited, "有限会社", "株式会社"), pa.string())
    before, after = _joined(company, core), _joined(core, company)
    japanese = pc.if_else(pa.array((form < 0.6) | limited), before, after)
    abroad = accounts.country > 0
    name = pc.if_else(pa.array(abroad), _foreign(accounts, stem, word, rng), japanese)
    return Companies(name, _domains(stem, abroad, np.arange(count) + first_number))


def _words(industry: NDArray[np.signedinteger], word: Places) -> pa.Array:
    return picked([w for row in names.COMPANY_WORDS for w in row], industry.astype(np.int64) * 4 + word)


def _foreign(accounts: Accounts, stem: Places, word: Places, rng: np.random.Generator) -> pa.Array:
    first = picked(names.FOREIGN_STEMS, stem % len(names.FOREIGN_STEMS))
    second = picked(names.FOREIGN_WORDS, rng.integers(0, len(names.FOREIGN_WORDS), len(stem)))
    form = picked(names.LEGAL_FORMS, accounts.country.astype(np.int64))
    return _joined(pc.binary_join_element_wise(first, second, " "), form)


def _domains(stem: Places, abroad: NDArray[np.bool_], number: Places) -> pa.Array:
    latin = pc.if_else(
        pa.array(abroad),
        picked([s.lower() for s in names.FOREIGN_STEMS], stem % len(names.FOREIGN_STEMS)),
        picked([latin for _, latin in names.COMPANY_STEMS], stem),
    )
    ending = picked((".example.jp", ".example.com"), abroad.astype(np.int64))
    return _joined(latin, identifiers("-", number, 6), ending)


def contacts(
    accounts: Accounts, leads: Leads, domain: pa.Array, first_number: int, rng: np.random.Generator
) -> Contacts:
    """A duplicate lead has the person's own name and mail, written a little differently."""
    count = len(leads)
    draw = rng.random((6, count))[:, leads.person]
    account = np.maximum(leads.account, 0)
    foreign = (leads.account >= 0) & (accounts.country[account] > 0)
    surname, given = _place(draw[0], names.SURNAMES), _place(draw[1], names.GIVEN_NAMES)
    family, first = _place(draw[0], names.FOREIGN_SURNAMES), _place(draw[1], names.FOREIGN_GIVEN_NAMES)
    duplicate = leads.original >= 0
    gap = pa.array(np.where(duplicate, "", " "), pa.string())
    kanji = _joined(_column(names.SURNAMES, 0, surname), gap, _column(names.GIVEN_NAMES, 0, given))
    kana = _joined(_column(names.SURNAMES, 1, surname), gap, _column(names.GIVEN_NAMES, 1, given))
    spoken = picked(names.FOREIGN_GIVEN_NAMES, first), picked(names.FOREIGN_SURNAMES, family)
    latin = pc.binary_join_element_wise(*spoken, " ")
    local = pc.if_else(
        pa.array(foreign),
        pc.utf8_lower(pc.replace_substring(latin, " ", ".")),
        pc.binary_join_element_wise(_column(names.SURNAMES, 2, surname), _column(names.GIVEN_NAMES, 2, given), "."),
    )
    is_foreign = pa.array(foreign)
    return Contacts(
        name=pc.if_else(is_foreign, latin, kanji),
        name_kana=masked(kana, foreign | (draw[2] < 0.2)),
        email=_mail(leads, local, domain, account, first_number, draw[3], duplicate),
        phone=masked(_phones(foreign, draw[4]), (draw[5] < 0.3) | duplicate),
    )


def _mail(
    leads: Leads,
    local: pa.Array,
    domain: pa.Array,
    account: NDArray[np.int32],
    first_number: int,
    draw: NDArray[np.float64],
    duplicate: NDArray[np.bool_],
) -> pa.Array:
    number = identifiers("", leads.person + first_number)
    real = pa.array(draw < 0.03)
    free_local = pc.if_else(real, pa.scalar(names.REAL_FREE_MAIL_LOCAL), local)
    free_domain = pc.if_else(real, pa.scalar(names.REAL_FREE_MAIL), pa.scalar(names.FREE_MAIL))
    free = _joined(free_local, number, pa.scalar("@"), free_domain)
    no_account = leads.account == MISSING
    own = masked(domain.take(pa.array(account)), no_account) if len(domain) else pa.nulls(len(leads), pa.string())
    business = pc.binary_join_element_wise(local, own, "@", null_handling="emit_null")
    mail = pc.coalesce(pc.if_else(pa.array(leads.free_mail), free, business), free)
    return pc.if_else(pa.array(duplicate & (draw < 0.5)), pc.utf8_capitalize(mail), mail)


def _phones(foreign: NDArray[np.bool_], draw: NDArray[np.float64]) -> pa.Array:
    number = (draw * 1e7).astype(np.int64)
    japan = identifiers("03-0", number // 10_000 % 1_000, 3, ("-", number % 10_000, 4))
    america = identifiers("+1-202-555-01", number % 100, 2)
    britain = identifiers("+44-20-7946-0", number % 1_000, 3)
    abroad = pc.if_else(pa.array(number % 2 == 0), america, britain)
    return pc.if_else(pa.array(foreign), abroad, japan)


def _place(draw: NDArray[np.float64], values: tuple[object, ...]) -> Places:
    """Lower places oftener than higher ones."""
    return (draw**1.3 * len(values)).astype(np.int64)


def _column(rows: tuple[tuple[str, ...], ...], part: int, places: Places) -> pa.Array:
    return picked([row[part] for row in rows], places)


def _joined(*parts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")
