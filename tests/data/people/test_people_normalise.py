"""One spelling of what Japanese companies write in many."""

from __future__ import annotations

import pytest

from data.people import bands
from data.people import normalise as n
from data.simulator import names, world


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (n.corporate_number, "7123456789012", "7123456789012"),
        (n.corporate_number, "8123456789012", None),
        (n.corporate_number, "７１２３-４５６７８９０１２", "7123456789012"),
        (n.corporate_number, "712345678901", None),
        (n.company_name, "㈱青嵐", "株式会社青嵐"),
        (n.company_name, "(株) 青嵐 御中", "株式会社青嵐"),
        (n.company_name, "青嵐（株）", "青嵐株式会社"),
        (n.company_name, "髙﨑商店㈲", "高崎商店有限会社"),
        (n.person_name, "髙﨑　一郎 様", "高崎一郎"),
        (n.person_name, "Wada Takashi殿", "wadatakashi"),
        (n.katakana, "ﾜﾀﾞ たかし", "ワダ タカシ"),
        (n.mail_domain, "Wada@Seiran.CO.JP", "seiran.co.jp"),
        (n.mail_domain, "和田 <wada@seiran.co.jp>", "seiran.co.jp"),
        (n.mail_domain, "seiran.co.jp", None),
        (n.web_domain, "https://www.seiran.co.jp/about", "seiran.co.jp"),
        (n.web_domain, "Seiran.co.jp", "seiran.co.jp"),
        (n.web_domain, "なし", None),
        (n.phone_number, "０３-0442-5373", "+81304425373"),
        (n.phone_number, "+1 202 555 0123", "+12025550123"),
        (n.phone_number, "内線12", None),
        (n.prefecture, "東京都千代田区1-1", "東京都"),
        (n.prefecture, "大阪", "大阪府"),
        (n.prefecture, "Kyoto-fu", "京都府"),
        (n.prefecture, "1", "北海道"),
        (n.prefecture, "４７", "沖縄県"),
        (n.prefecture, "48", None),
        (n.prefecture, "London", None),
        (bands.country, "日本", "JP"),
        (bands.country, "United States", "US"),
        (bands.country, "jp", "JP"),
        (bands.country, "アトランティス", "アトランティス"),
        (bands.job_title_band, "代表取締役社長", "役員"),
        (bands.job_title_band, "Chief Technology Officer", "役員"),
        (bands.job_title_band, "Vice President, Sales", "部長"),
        (bands.job_title_band, "情報システム部　部長", "部長"),
        (bands.job_title_band, "Sales Manager", "課長"),
        (bands.job_title_band, "営業担当", "一般"),
        (bands.job_title_band, "占い師", None),
    ],
)
def test_one_spelling(read, text: str, expected: str | None) -> None:
    assert read(text) == expected


def test_the_check_digit_catches_every_wrong_one() -> None:
    passing = [d for d in "0123456789" if n.corporate_number(d + "123456789012")]
    assert passing == ["7"]


def test_a_company_before_and_after_its_name_are_two() -> None:
    assert n.company_name("株式会社青嵐") != n.company_name("青嵐株式会社")


@pytest.mark.parametrize(
    ("mail", "account", "same"),
    [
        ("seiran.co.jp", "seiran.co.jp", True),
        ("tokyo.seiran.co.jp", "seiran.co.jp", True),
        ("seiran.co.jp", "co.jp", False),
        ("nagi.co.jp", "seiran.co.jp", False),
        ("notseiran.co.jp", "seiran.co.jp", False),
    ],
)
def test_whether_a_mail_belongs_to_a_company(mail: str, account: str, same: bool) -> None:
    assert n.same_organisation(mail, account) is same


@pytest.mark.parametrize(("address", "shared"), [("info@a.jp", True), ("Sales+x@a.jp", True), ("wada@a.jp", False)])
def test_shared_mailboxes_are_nobody(address: str, shared: bool) -> None:
    assert n.is_shared_mailbox(address) is shared


@pytest.mark.parametrize("domain", ["gmail.com", "yahoo.co.jp", "docomo.ne.jp", names.FREE_MAIL])
def test_free_mail(domain: str) -> None:
    assert n.is_free_mail(domain)
    assert not n.is_free_mail("seiran.co.jp")


@pytest.mark.parametrize(
    ("employees", "band"),
    [(0, None), (1, "1–29"), (29, "1–29"), (30, "30–99"), (99, "30–99"), (100, "100–299"), (300, "300–999"),
     (999, "300–999"), (1_000, "1,000–4,999"), (5_000, "5,000+")],
)  # fmt: skip
def test_employee_bands(employees: float, band: str | None) -> None:
    assert bands.employee_band(employees) == band


def test_bands_agree_with_the_simulator_s_own() -> None:
    assert bands.EMPLOYEE_BANDS == world.EMPLOYEE_BANDS
    for band, titles in zip(world.JOB_BANDS, world.JOB_TITLES, strict=True):
        assert {bands.job_title_band(title) for title in titles} == {band}


def test_prefectures_are_all_there_in_the_order_of_their_codes() -> None:
    assert len(set(n.PREFECTURES)) == len(n.ROMAJI) == 47
    assert [n.PREFECTURES[code - 1] for code in (13, 27, 40)] == ["東京都", "大阪府", "福岡県"]
    assert {name for name, _ in world.PREFECTURES} <= set(n.PREFECTURES)
