"""From HTML to the words that a person would see: by a parser as browsers have it, whatever the HTML is like."""

from __future__ import annotations

import re
from html import unescape

import nh3

_LINES = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre"}
_UNSEEN = {"head", "script", "style", "template", "title"}


def text_of(html: str) -> str:
    """Say what the HTML says. What is left of it after the sanitiser is well-formed, and has no attributes."""
    clean = nh3.clean(html, tags=_LINES, clean_content_tags=_UNSEEN, attributes={}, link_rel=None)
    return unescape(re.sub(r"<[^>]*>", "\n", re.sub(r"\s+", " ", clean)))
