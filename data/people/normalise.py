"""Names, addresses and numbers in one spelling, as Japanese companies really write them.

Small and pure: one text in, one text out (or None where it says nothing).
"""

from __future__ import annotations

import functools
import re
import unicodedata

import jaconv

VARIANTS = str.maketrans("髙﨑嵜濵濱邊邉齋齊斎澤ヶ塚", "高崎崎浜浜辺辺斉斉斉沢ケ塚")
"""Characters of names that people and systems write one for the other."""
HONORIFICS = re.compile(r"\s*(様|さま|殿|御中|先生|氏)$")
LEGAL_FORMS = (
    ("株式会社", r"\(株\)|㈱|株式會社|K\.?K\.?(?=\s|$)"),
    ("有限会社", r"\(有\)|㈲"),
    ("合同会社", r"\(同\)|\(合\)"),
    ("一般社団法人", r"\(一社\)"),
    ("一般財団法人", r"\(一財\)"),
)
"""NFKC turns ㈱ into (株) but not into the word: this table does."""
SHARED_MAILBOXES = frozenset(
    {
        "info", "sales", "contact", "support", "office", "admin", "mail", "inquiry", "toiawase", "soumu", "somu",
        "eigyo", "eigyou", "jinji", "keiri", "webmaster", "postmaster", "noreply", "no-reply", "marketing", "hr",
    }
)  # fmt: skip
FREE_MAIL = frozenset(
    {
        "gmail.com", "googlemail.com", "yahoo.co.jp", "ymail.ne.jp", "yahoo.com", "yahoo.co.uk", "ymail.com",
        "rocketmail.com", "hotmail.com", "hotmail.co.jp", "outlook.com", "outlook.jp", "live.com", "live.jp", "msn.com",
        "icloud.com", "me.com", "mac.com", "aol.com", "aol.jp", "gmx.com", "gmx.de", "gmx.net", "web.de", "mail.com",
        "proton.me", "protonmail.com", "zoho.com", "fastmail.com", "tutanota.com", "yandex.com", "yandex.ru", "mail.ru",
        "qq.com", "163.com", "126.com", "sina.com", "naver.com", "daum.net", "hanmail.net", "docomo.ne.jp",
        "ezweb.ne.jp", "au.com", "softbank.ne.jp", "i.softbank.jp", "vodafone.ne.jp", "nifty.com", "biglobe.ne.jp",
        "so-net.ne.jp", "ocn.ne.jp", "excite.co.jp", "goo.jp", "freemail.example.com",
    }
)  # fmt: skip
PREFECTURES = (
    "北海道", "青森県", "岩手県", "宮城県", "秋田県", "山形県", "福島県", "茨城県",
    "栃木県", "群馬県", "埼玉県", "千葉県", "東京都", "神奈川県", "新潟県", "富山県",
    "石川県", "福井県", "山梨県", "長野県", "岐阜県", "静岡県", "愛知県", "三重県",
    "滋賀県", "京都府", "大阪府", "兵庫県", "奈良県", "和歌山県", "鳥取県", "島根県",
    "岡山県", "広島県", "山口県", "徳島県", "香川県", "愛媛県", "高知県", "福岡県",
    "佐賀県", "長崎県", "熊本県", "大分県", "宮崎県", "鹿児島県", "沖縄県",
)  # fmt: skip
"""In the order of JIS X 0401: the code is the place counted from 1."""
ROMAJI = (
    "hokkaido", "aomori", "iwate", "miyagi", "akita", "yamagata", "fukushima", "ibaraki",
    "tochigi", "gunma", "saitama", "chiba", "tokyo", "kanagawa", "niigata", "toyama",
    "ishikawa", "fukui", "yamanashi", "nagano", "gifu", "shizuoka", "aichi", "mie",
    "shiga", "kyoto", "osaka", "hyogo", "nara", "wakayama", "tottori", "shimane",
    "okayama", "hiroshima", "yamaguchi", "tokushima", "kagawa", "ehime", "kochi", "fukuoka",
    "saga", "nagasaki", "kumamoto", "oita", "miyazaki", "kagoshima", "okinawa",
)  # fmt: skip


def plain(text: str) -> str:
    """NFKC, single spaces, none at the ends: full-width letters and digits become ordinary ones."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()


def person_name(text: str) -> str:
    """One spelling of a name for comparing: no honorific, no spaces, 髙 as 高.

    >>> person_name("髙﨑　一郎 様") == person_name("高崎一郎")
    True
    """
    bare = HONORIFICS.sub("", plain(text))
    return re.sub(r"[\s・]", "", bare).translate(VARIANTS).casefold()


def katakana(text: str) -> str:
    """Reading in full-width katakana: ﾜﾀﾞ たかし → ワダ タカシ."""
    return str(jaconv.hira2kata(jaconv.h2z(plain(text), kana=True)))


def company_name(text: str) -> str:
    """One spelling of a company for comparing; 前株 and 後株 stay different companies.

    >>> company_name("㈱青嵐"), company_name("青嵐(株) 御中")
    ('株式会社青嵐', '青嵐株式会社')
    """
    bare = HONORIFICS.sub("", plain(text))
    for word, short in LEGAL_FORMS:
        bare = re.sub(short, word, bare)
    return re.sub(r"\s", "", bare).translate(VARIANTS).casefold()


def mail_domain(address: str) -> str | None:
    """Domain of a mail address, lower case; None when it is not one."""
    local, at, domain = plain(address).rpartition("@")
    domain = domain.lower().rstrip(".>")
    return domain if at and local and re.fullmatch(r"[^\s@]+\.[a-z0-9-]{2,}", domain) else None


def is_free_mail(domain: str) -> bool:
    return domain in FREE_MAIL or any(domain.endswith(f".{free}") for free in FREE_MAIL)


def is_shared_mailbox(address: str) -> bool:
    """Addresses of an office, not of a person: they must never merge people."""
    return re.sub(r"\+.*", "", plain(address).rpartition("@")[0].lower()) in SHARED_MAILBOXES


def web_domain(text: str) -> str | None:
    """Domain in a web address or domain column: https://www.example.co.jp/x → example.co.jp."""
    found = re.match(r"^(?:[a-z]+://)?(?:www\.)?([^/\s:@]+\.[a-z0-9-]{2,})", plain(text).lower())
    return found[1] if found else None


def same_organisation(mail: str, account: str) -> bool:
    """Whether a mail domain belongs to an account's domain: the same, or one below the other."""
    if mail == account:
        return True
    outer, inner = sorted((mail, account), key=len)
    return inner.endswith(f".{outer}") and outer not in public_suffix(inner)


@functools.lru_cache(maxsize=4096)
def public_suffix(domain: str) -> tuple[str, ...]:
    """The part of a domain that is nobody's own (co.jp), from the list that ships with tldextract."""
    import tldextract

    suffix = tldextract.TLDExtract(suffix_list_urls=())(domain).suffix
    return (suffix,) if suffix else ()


def phone_number(text: str, region: str = "JP") -> str | None:
    """E.164 form of a telephone number, or None: 03-0442-5373 → +81304425373."""
    import phonenumbers

    try:
        found = phonenumbers.parse(plain(text), region)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number(found)
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164) if possible else None


def corporate_number(text: str) -> str | None:
    """A 法人番号 of 13 digits whose check digit is 9 − (ΣPn·Qn mod 9), or None.

    >>> corporate_number("７１２３４５６７８９０１２"), corporate_number("8123456789012")
    ('7123456789012', None)
    """
    digits = re.sub(r"[\s-]", "", plain(text))
    if not re.fullmatch(r"\d{13}", digits):
        return None
    weighed = sum(int(d) * (1 + n % 2) for n, d in enumerate(reversed(digits[1:])))
    return digits if 9 - weighed % 9 == int(digits[0]) else None


def prefecture(text: str) -> str | None:
    """都道府県 of an address, a short name, a JIS code or romaji, or None.

    >>> prefecture("東京都千代田区1-1"), prefecture("大阪"), prefecture("Kyoto-fu"), prefecture("13")
    ('東京都', '大阪府', '京都府', '東京都')
    """
    given = plain(text)
    if re.fullmatch(r"\d{1,2}", given):
        return PREFECTURES[int(given) - 1] if 1 <= int(given) <= len(PREFECTURES) else None
    romaji = re.sub(r"[\s-]?(prefecture|pref\.?|ken|fu|to|metropolis)$", "", given.lower())
    if romaji in ROMAJI:
        return PREFECTURES[ROMAJI.index(romaji)]
    whole = next((p for p in PREFECTURES if given.startswith(p)), None)
    return whole or next((p for p in PREFECTURES if given == p[:-1]), None)
