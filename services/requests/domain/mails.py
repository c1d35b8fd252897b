"""What a mail seems to wish, and in which language: suggested by plain words, and none where they are not clear."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from shared.contracts.requests import Kind

_WISHES: Mapping[Kind, re.Pattern[str]] = {
    kind: re.compile("|".join(words), re.IGNORECASE)
    for kind, words in {
        Kind.ACCESS: (
            r"\b(copy|overview|export) of (all )?(my|the) (personal )?(data|information)",
            r"\b(what|which) (personal )?(data|information) (do )?you (hold|have|store|keep)",
            r"\baccess (to )?(all )?(my|the) (personal )?(data|information)|\b(right|request) (of|to|for) access",
            r"\baccess request",
            r"\bauskunft|\bkopie (aller )?meiner (personenbezogenen )?daten|\bwelche (personenbezogenen )?daten",
            r"(查询|查阅|查看|复制|获取|导出).{0,12}(个人信息|个人资料|个人数据|数据|资料)",
        ),
        Kind.CORRECTION: (
            r"\b(correct|rectify|update|complete) (all |of )?(my|the) |\brectification\b|\bcorrection of\b",
            r"\bberichtig|\bkorrigier|\bkorrektur|\bvervollständig",
            r"更正|修正|更改|补充.{0,12}(个人信息|资料|数据)",
        ),
        Kind.DELETION: (
            r"\b(delete|erase|remove) (all |of )*(my|the) |\b(erasure|deletion) of\b|\bright to be forgotten\b",
            r"\blösch|\bentfern(en|t|e) sie",
            r"删除|注销|抹除",
        ),
        Kind.WITHDRAWAL: (
            r"\b(withdraw|revoke|take back) (all |of |any )*(my |the )?consent|\bwithdrawal of (my )?consent",
            r"\bwiderruf|\beinwilligung(en)? zurück",
            r"(撤回|撤销|取消).{0,12}(同意|授权)",
        ),
    }.items()
}
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_GERMAN = re.compile(
    r"\b(ich|sie|und|der|die|das|meine[nrs]?|bitte|nicht|mit|daten|konto|guten|hallo|ist|wir|ein|löschen)\b|[äöüß]",
    re.IGNORECASE,
)
_ENGLISH = re.compile(
    r"\b(i|you|and|the|my|please|not|with|data|account|hello|dear|is|we|a|of|to|delete)\b", re.IGNORECASE
)
_MUCH = 0.1
_QUOTE = re.compile(
    r"-{2,}\s*\w|On .{1,300} wrote:|Am .{1,300} schrieb\b|(From|Von|发件人)\s?[:：]|在.{1,300}写道[:：]"  # noqa: RUF001 - Chinese has a wide colon
)


def said(written: str) -> str:
    """Leave out what is quoted: our own mails would say something by it."""
    return "\n".join(_unquoted(written.splitlines()))


def _unquoted(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if _QUOTE.match(line.strip()):
            return
        if not line.lstrip().startswith(">"):
            yield line


def kind_of(words: str) -> Kind | None:
    """Suggest what is wished; none where it is nothing of that, or several things: then somebody reads it."""
    found = [kind for kind, pattern in _WISHES.items() if pattern.search(words)]
    return found[0] if len(found) == 1 else None


def language_of(words: str) -> str:
    """Guess the language among those in which there are answers: Chinese by its signs, others by small words."""
    if len(_HAN.findall(words)) > _MUCH * len(words):
        return "zh-Hans"
    return "de" if len(_GERMAN.findall(words)) > len(_ENGLISH.findall(words)) else "en"


def code_in(words: str, digits: int) -> str | None:
    """Find the first code in what somebody has written. One mail is one try."""
    found = re.search(rf"(?<!\d)\d{{{digits}}}(?!\d)", words)
    return found and found[0]
