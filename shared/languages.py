"""Which languages people are spoken to in, and which of them somebody gets."""

from __future__ import annotations

ENGLISH, SIMPLIFIED_CHINESE, GERMAN = LANGUAGES = ("en", "zh-Hans", "de")


def language_for(tag: str) -> str:
    """Choose the words for a language tag (BCP 47): simplified Chinese for any Chinese, German, else English."""
    return {"zh": SIMPLIFIED_CHINESE, "de": GERMAN}.get(tag.lower().partition("-")[0], ENGLISH)
