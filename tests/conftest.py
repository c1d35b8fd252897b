"""What the whole suite shares: the real engines, started once in each process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import make_url

from ops.engines import EmbeddedKafka, EmbeddedPostgres
from shared.settings import ServiceSettings
from shared.staff import key_set
from tests.commands import PACKAGE_KEY, SECOND_FACTOR_KEY
from tests.databases import Databases
from tests.rooms import OpenRoom, Room, SettingsFor

FAST_BUT_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}

# A busy machine is slow, and that says nothing about the code.
settings.register_profile("adieu", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("adieu")


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedKafka]:
    engine = EmbeddedKafka(tmp_path_factory.mktemp("kafka"))
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    engine = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings=FAST_BUT_NOT_DURABLE)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture(scope="session")
async def databases(postgres: EmbeddedPostgres) -> AsyncIterator[Databases]:
    url = make_url(postgres.admin_url)
    admin = await asyncpg.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, database=url.database
    )
    yield Databases(admin, postgres.admin_url)
    await admin.close()


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a directory with the keys of account and of staff."""
    directory = tmp_path_factory.mktemp("keys")
    key = Ed25519PrivateKey.generate()
    (directory / "private.pem").write_bytes(_as_pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (directory / "public.pem").write_bytes(public)
    staff = Ed25519PrivateKey.generate()
    (directory / "staff-private.pem").write_bytes(_as_pem(staff))
    (directory / "staff-keys.json").write_text(json.dumps(key_set(staff.public_key())))
    (directory / "second-factor-keys").write_bytes(SECOND_FACTOR_KEY)
    (directory / "package-keys").write_bytes(PACKAGE_KEY)
    (directory / "sender-key").write_bytes(b"the sender key of the tests")
    return directory


def _as_pem(key: Ed25519PrivateKey) -> bytes:
    kind, shape = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(kind, shape, serialization.NoEncryption())


@pytest.fixture(scope="session")
def settings_for(signing_keys: Path) -> SettingsFor:
    """Make a service's settings; what a test does not say is as good as any."""

    def make(service: str, database_url: str, **settings: object) -> ServiceSettings:
        kind = import_module(f"services.{service}.settings").Settings
        made: ServiceSettings = kind(
            **{
                "database_url": database_url,
                "kafka_bootstrap_servers": "nowhere.example:9092",
                "internal_token": "the internal token of the tests, long enough",
                "access_token_public_key_file": signing_keys / "public.pem",
                "access_token_private_key_file": signing_keys / "private.pem",
                "staff_key_set_file": signing_keys / "staff-keys.json",
                "second_factor_keys_file": signing_keys / "second-factor-keys",
                "package_keys_file": signing_keys / "package-keys",
                "sender_key_file": signing_keys / "sender-key",
                "smtp_host": "mail.example",
                **settings,
            }
        )
        return made

    return make


@pytest.fixture
async def room(databases: Databases, settings_for: SettingsFor) -> AsyncIterator[OpenRoom]:
    """Open the room of a service, on a fresh database."""
    opened: list[tuple[str, Room]] = []

    async def open_room(service: str) -> Room:
        name = await databases.fresh(service)
        url = databases.url(name)
        opened.append((name, Room(service, url, settings_for(service, url))))
        return opened[-1][1]

    yield open_room
    for name, each in opened:
        await each.engine.dispose()
        await databases.take_back(each.service, name)
