"""What is in a package: the data by owner and category, a page to read, and the manifest, in this order.

A file is written while its rows are read: of an owner that has sent very much no more than a part is ever here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from joserfc.errors import JoseError
from pydantic_core import to_json

from services.requests.package.archive import Archive
from services.requests.package.forms import Csv, Json, View
from services.requests.package.page import Sample, page
from services.requests.package.sheets import Sheet, Slices, beside, rows, survey
from shared.languages import ENGLISH, language_for
from shared.personal_data import PROCESSING, Category

Flush = Callable[[], Awaitable[None]]
"""Takes away what is ready of the archive."""


@dataclass(frozen=True)
class Answer:
    """What one owner has sent, and what it has counted; without a stream it has not answered."""

    owner: str
    slices: Slices | None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """Which request a package answers, and when it was made."""

    request_id: UUID
    made_at: datetime


@dataclass
class Read:
    """An owner's answer that can be read: its tables, and of each category what the page shows."""

    answer: Answer
    sheets: Sequence[Sheet]
    views: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)

    @property
    def slices(self) -> Slices:
        assert self.answer.slices  # noqa: S101 - it was read
        return self.answer.slices


async def fill(archive: Archive, about: About, answers: Sequence[Answer], flush: Flush) -> list[str]:
    """Write all files; returns which owners are missing: no answer came, or none that can be read."""
    read: list[Read] = []
    missing: list[str] = []
    for answer in sorted(answers, key=lambda each: each.owner):
        if (sheets := await _survey(answer)) is None:
            missing.append(answer.owner)
        else:
            read.append(Read(answer, sheets))
    for each in read:
        for sheet in each.sheets:
            for category in sheet.categories:
                if sheet.counts[category]:
                    await _write(archive, each, sheet, category, flush)
    manifest = _manifest(about, read, missing)
    with archive.file("index.html") as file:
        file.write(
            page(manifest, {key: views for each in read for key, views in each.views.items()}, _language(read))
        )
    with archive.file("manifest.json") as file:
        file.write(to_json(manifest | {"files": archive.files}, indent=1))
    return missing


async def _survey(answer: Answer) -> list[Sheet] | None:
    try:
        return await survey(answer.slices) if answer.slices else None
    except (ValueError, JoseError):
        return None


async def _write(archive: Archive, read: Read, sheet: Sheet, category: str, flush: Flush) -> None:
    """Write what an owner's table holds of a category, in each form, and its pictures."""
    owner, slices = read.answer.owner, read.slices
    stem = archive.stem(owner, category, sheet.head.table)
    about = {"owner": owner, "category": category, "table": sheet.head.table, "rows": sheet.counts[category]}
    for form in (kind(View(sheet.head, category, stem)) for kind in (Json, Csv)):
        with archive.file(f"{stem}.{form.ending}", **about) as file:
            file.write(form.begin())
            async for some, size in rows(sheet, slices):
                file.write(await beside(size, form.written, some))
                await flush()
            file.write(form.end())
    view = View(sheet.head, category, stem)
    if view.has_pictures:
        async for some, _ in rows(sheet, slices):
            for path, content in view.pictures(some):
                with archive.file(path, owner=owner, category=category) as file:
                    file.write(content)
                await flush()
    sample = Sample(
        stem, view.names, list(View(sheet.head, category, stem).rows(sheet.sample)), sheet.counts[category]
    )
    read.views.setdefault((owner, category), []).append(sample)


def _language(read: Sequence[Read]) -> str:
    """Choose the language of the page: what an owner knows as the person's."""
    for sheet in (sheet for each in read for sheet in each.sheets):
        names = [column.name for column in sheet.head.columns]
        if "language" in names and sheet.sample:
            return language_for(str(sheet.sample[0][names.index("language")]))
    return ENGLISH


def _manifest(about: About, read: Sequence[Read], missing: Sequence[str]) -> dict[str, Any]:
    owners = [
        {"owner": each.answer.owner, "categories": [_entry(*one) for one in sorted(each.answer.counts.items())]}
        for each in read
    ]
    made = {"request_id": str(about.request_id), "made_at": about.made_at.isoformat()}
    return made | {"owners": owners, "not_answered": list(missing)}


def _entry(category: str, count: int) -> dict[str, Any]:
    """Say how much there is of a category, and why it is kept: of Adieu's own that is known here."""
    known = vars(PROCESSING[Category(category)]) if category in set(Category) else {}
    return {"category": category, "count": count, **known}
