"""Searches all that the system keeps for what a person has put in: tables, statistics, topics, files.

Reads past the services' doors, as an auditor would, and never writes.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from sqlalchemy.engine import make_url

from ops.installation import Installation
from shared.messaging.kafka import Kafka

READ_SECONDS = 60.0
POLL_MS = 50
MAILBOX = "mailbox"
KINDS = ("tables", "statistics", "topics", "files")
RAW = ("kafka/data", "postgres/data")
"""What the engines themselves keep: counted apart, since it is gone only after a time of theirs."""
KNOWN_PRODUCTS = {"device.products", "device.statistics.products.serial"}
"""Where a serial stands for a device that was made, as it did before anybody had it: nobody's data."""

_TABLES = """
    SELECT format('%I.%I', nspname, relname) AS name, relname
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'm') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
    ORDER BY 1
"""
# The planner's statistics keep examples of values, also of rows that are deleted since.
_STATISTICS = """
    SELECT format('%s.%s', tablename, attname) AS name, pg_stats::text AS content
    FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    UNION ALL
    SELECT statistics_name::text, pg_stats_ext::text FROM pg_stats_ext
"""

Rows: TypeAlias = Counter[tuple[str, bytes]]
"""Rows by their table, each as the text that PostgreSQL makes of it."""


class Marks:
    """What is searched for: texts, in every form that text or a codec gives them. Case makes no difference."""

    def __init__(self, *texts: str) -> None:
        self._forms = {form.lower() for text in texts for form in _forms(text.encode())}

    def __len__(self) -> int:
        return len(self._forms)

    def within(self, content: bytes) -> bool:
        lowered = content.lower()
        return any(form in lowered for form in self._forms)


def _forms(raw: bytes) -> Iterator[bytes]:
    yield raw
    yield raw.hex().encode()
    for before in range(3):
        # What base64 makes of it whatever stands around it: less the characters at both ends that are shared.
        encoded = b64encode(bytes(before) + raw)[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass
class Search:
    """What was searched, and in which places something was found."""

    marks: Marks
    places: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(KINDS, 0)))
    """How many of each kind of place."""
    records: int = 0
    found: set[str] = field(default_factory=set)

    def look(self, kind: str, place: str, content: bytes, records: int) -> None:
        self.places[kind] += 1
        self.records += records
        if self.marks.within(content):
            self.found.add(place)

    @property
    def leftovers(self) -> list[str]:
        """Where something of the person was found that should not be there."""
        return sorted(self.found - KNOWN_PRODUCTS)


async def search(installation: Installation, marks: Marks) -> Search:
    """Search everything once."""
    result = Search(marks)
    await search_databases(result, installation.database_urls)
    await search_topics(result, installation.kafka)
    await asyncio.to_thread(search_files, result, installation.directory)
    return result


async def search_databases(result: Search, urls: dict[str, str]) -> None:
    """Search every table, and what the planner knows of it."""
    for service, url in urls.items():
        async with connected(url) as connection:
            for table, content in await _tables(connection):
                result.look("tables", f"{service}.{table}", content, content.count(b"\n"))
            for row in await connection.fetch(_STATISTICS):
                result.look("statistics", f"{service}.statistics.{row['name']}", row["content"].encode(), 1)


async def search_topics(result: Search, kafka: Kafka) -> None:
    """Search every topic, the broker's own too, from the start of its log to its end."""
    records = await _all_records(kafka)
    for topic, found in records.items():
        result.look("topics", f"topic {topic}", b"\n".join(chain.from_iterable(map(_parts, found))), len(found))


def search_files(result: Search, directory: Path) -> None:
    """Search every file of an installation but the engines' raw ones, and the mailbox, which is the person's."""
    apart = [directory / name for name in (MAILBOX, *RAW)]
    for path in _files(directory):
        if not any(path.is_relative_to(other) for other in apart):
            with suppress(FileNotFoundError):
                content = path.read_bytes()
                name = path.relative_to(directory).as_posix()
                result.look("files", f"file {name}", name.encode() + b"\n" + content, content.count(b"\n"))


@dataclass(frozen=True)
class Raw:
    """What the engines' own files still hold: how often, and in how many of the files written since."""

    what: str
    occurrences: int
    files: int


def raw_residue(directory: Path, marks: Iterable[str], since: datetime) -> list[Raw]:
    """Count what the engines' own files hold. Files that are older than the marks cannot hold them."""
    needles = [mark.encode() for mark in marks]
    log, database = directory / "kafka" / "data", directory / "postgres" / "data"
    parts = {
        "log segments of the broker": log.glob("**/*.log"),
        "write-ahead log of the databases": _files(database / "pg_wal"),
        "pages of the databases": _files(database / "base"),
    }
    return [Raw(what, *_count(files, needles, since.timestamp())) for what, files in parts.items()]


def _count(files: Iterable[Path], needles: list[bytes], since: float) -> tuple[int, int]:
    searched = occurrences = 0
    for path in files:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime >= since:
                content = path.read_bytes()
                searched += 1
                occurrences += sum(map(content.count, needles))
    return occurrences, searched


async def take_statistics(urls: dict[str, str]) -> None:
    """Have the planner look at all rows, as it does by itself sooner or later."""
    for url in urls.values():
        async with connected(url) as connection:
            await connection.execute("ANALYZE")


async def rows_about(urls: dict[str, str], marks: Marks) -> Rows:
    """Read every row of every table that carries one of the marks."""
    found: Rows = Counter()
    for service, url in urls.items():
        async with connected(url) as connection:
            for table, content in await _tables(connection):
                lines = content.splitlines() if marks.within(content) else []
                found.update((f"{service}.{table}", line) for line in lines if marks.within(line))
    return found


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        yield connection
    finally:
        await connection.close()


async def _tables(connection: asyncpg.Connection) -> list[tuple[str, bytes]]:
    """Read every table, one row a line; bytes stand as hex."""
    tables = []
    for row in await connection.fetch(_TABLES):
        content = bytearray()

        async def take(chunk: bytes, content: bytearray = content) -> None:
            content.extend(chunk)

        await connection.copy_from_query(f"SELECT * FROM {row['name']}", output=take)  # noqa: S608 - quoted there
        tables.append((row["relname"], bytes(content)))
    return tables


async def _all_records(kafka: Kafka) -> dict[str, list[ConsumerRecord[bytes, bytes]]]:
    async with kafka.admin() as admin:
        topics = await admin.describe_topics()
    places = [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in topics
        for partition in topic["partitions"]
    ]
    records: dict[str, list[ConsumerRecord[bytes, bytes]]] = {place.topic: [] for place in sorted(places)}
    async with AIOKafkaConsumer(
        **kafka.client,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=POLL_MS,
    ) as consumer:
        async for record in _read(consumer, places):
            records[record.topic].append(record)
    return records


async def _read(
    consumer: AIOKafkaConsumer, places: list[TopicPartition]
) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
    """Read these partitions from the start of the log to what is its end now."""
    consumer.assign(places)  # before anything is asked: looking up one topic after the other takes a second
    rest = await consumer.end_offsets(places)
    async with asyncio.timeout(READ_SECONDS):
        while rest := {place: end for place, end in rest.items() if await consumer.position(place) < end}:
            for found in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in found:
                    yield record


def _parts(record: ConsumerRecord[bytes, bytes]) -> Iterator[bytes]:
    yield record.key or b""
    yield record.value or b""
    for name, value in record.headers:
        yield name.encode()
        yield value or b""


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())
