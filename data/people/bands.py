"""Bands that models and people can use: 従業員規模 by head count, 役職 by title, countries by code."""

from __future__ import annotations

import re
from bisect import bisect_right

from data.people.normalise import plain

EMPLOYEE_EDGES = (30, 100, 300, 1_000, 5_000)
EMPLOYEE_BANDS = ("1–29", "30–99", "100–299", "300–999", "1,000–4,999", "5,000+")
JOB_BANDS = ("一般", "係長", "課長", "部長", "役員")
TITLES = (
    ("役員", r"取締役|代表|社長|会長|副社長|専務|常務|執行役員|役員|監査役|理事|オーナー|頭取"),
    ("役員", r"\bc[efotim]o\b|\bchief .*officer|\bpresident\b|\bfounder\b|\bowner\b|\bchair|\bpartner\b"),
    ("部長", r"部長|本部長|次長|支店長|工場長|所長|統括|ゼネラルマネージャー"),
    ("部長", r"\bdirector\b|\bvp\b|\bhead of\b|\bgeneral manager\b"),
    ("課長", r"課長|室長|マネージャ|マネジャ|グループ長|店長"),
    ("係長", r"係長|リーダー|チーフ|\bteam lead|\bsupervisor\b|\blead\b"),
    ("課長", r"\bmanager\b"),
    ("一般", r"担当|主任|スタッフ|社員|一般|職員|アシスタント|エンジニア|プログラマ|事務|なし"),
    (
        "一般",
        r"\bstaff\b|\bspecialist\b|\bengineer\b|\bassociate\b|\bassistant\b|\banalyst\b|\bdeveloper\b|\bconsultant\b",
    ),
)
"""First match wins; a vice president leads a department."""
COUNTRIES = {
    "日本": "JP", "japan": "JP", "アメリカ": "US", "米国": "US", "united states": "US", "usa": "US",
    "united states of america": "US", "英国": "GB", "イギリス": "GB", "united kingdom": "GB", "uk": "GB", "中国": "CN",
    "china": "CN", "韓国": "KR", "south korea": "KR", "korea": "KR", "台湾": "TW", "taiwan": "TW", "シンガポール": "SG",
    "singapore": "SG", "ドイツ": "DE", "germany": "DE", "フランス": "FR", "france": "FR", "インド": "IN", "india": "IN",
    "タイ": "TH", "thailand": "TH", "ベトナム": "VN", "vietnam": "VN", "香港": "HK", "hong kong": "HK",
    "australia": "AU", "canada": "CA", "brazil": "BR", "spain": "ES", "italy": "IT", "netherlands": "NL",
}  # fmt: skip


def employee_band(employees: float) -> str | None:
    """従業員規模 of a head count; None below one."""
    return EMPLOYEE_BANDS[bisect_right(EMPLOYEE_EDGES, employees)] if employees >= 1 else None


def job_title_band(title: str) -> str | None:
    """役職 of a title in Japanese or English, or None where it says nothing of rank.

    >>> job_title_band("営業部　部長"), job_title_band("Vice President, Sales"), job_title_band("課長代理")
    ('部長', '部長', '課長')
    """
    given = re.sub(r"\bvice[ -]president\b", "vp", plain(title).lower())
    return next((band for band, pattern in TITLES if re.search(pattern, given)), None)


def country(text: str) -> str:
    """ISO 3166 alpha-2 where the name is a usual one, else the text as written."""
    given = plain(text)
    return COUNTRIES.get(given.lower(), given.upper() if re.fullmatch(r"[A-Za-z]{2}", given) else given)
