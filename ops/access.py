"""Who may do what with Kafka: users, and access rules made from `shared/contracts/topics.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from ops.errors import UserError
from ops.installation import EXPORTER, SERVICES
from shared.contracts.topics import ALL_TOPICS, Topic
from shared.messaging.kafka import Kafka

ITERATIONS = 4096
TIMEOUT_SECONDS = 30.0


def users() -> list[str]:
    """Name who has a user of their own: the services, who watches them, and whoever else owns a topic."""
    return sorted({*SERVICES, EXPORTER, *(topic.owner for topic in ALL_TOPICS)})


def rules() -> set[AclBinding]:
    """Say all that is allowed; whatever is not, is refused. Reading, writing and deleting include describing."""
    return {rule for topic in ALL_TOPICS for rule in _rules_of(topic)} | {
        _allow(user, operation, ResourceType.GROUP, f"{service}.", ResourcePatternType.PREFIXED)
        for service in SERVICES
        for user, operation in ((service, AclOperation.READ), (EXPORTER, AclOperation.DESCRIBE))
    }


def _rules_of(topic: Topic) -> Iterator[AclBinding]:
    """Let its owner alone write it; what is not personal every service may read, what is only its one reader."""
    yield _on(topic, topic.owner, AclOperation.WRITE)
    yield _on(topic, EXPORTER, AclOperation.DESCRIBE)  # how far it goes, and since when what waits is there
    yield _on(topic, EXPORTER, AclOperation.DESCRIBE_CONFIGS)  # for how long it is kept
    for service in SERVICES:
        yield _on(topic, service, AclOperation.DESCRIBE)  # a service waits until every topic is there
        if topic.reader in (None, service):
            yield _on(topic, service, AclOperation.READ)
    if topic.reader:
        yield _on(topic, topic.reader, AclOperation.DELETE)  # of records: it empties the topic behind itself


def _on(topic: Topic, user: str, operation: AclOperation) -> AclBinding:
    return _allow(user, operation, ResourceType.TOPIC, topic.name, ResourcePatternType.LITERAL)


def _allow(
    user: str, operation: AclOperation, kind: ResourceType, name: str, pattern: ResourcePatternType
) -> AclBinding:
    return AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)


async def provide_access(kafka: Kafka, passwords: Mapping[str, str]) -> None:
    """Make every user, or give it its password anew; and let all of them do what the rules say, and no more."""
    try:
        await asyncio.to_thread(_provide_access, AdminClient(kafka.librdkafka), passwords)
    except KafkaException as error:
        raise UserError(f"Kafka does not give access: {error.args[0].name()}") from None


def _provide_access(admin: AdminClient, passwords: Mapping[str, str]) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    _wait(
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(user, info, password.encode()) for user, password in passwords.items()],
        )
    )
    known = {
        rule
        for rule in admin.describe_acls(_ANY).result(TIMEOUT_SECONDS)
        if rule.principal.removeprefix("User:") in passwords
    }
    if missing := rules() - known:
        _wait(admin.create_acls(list(missing)))
    if stale := known - rules():
        _wait(admin.delete_acls([_exactly(rule) for rule in stale]))


def _wait(answers: Mapping[Any, Future[Any]]) -> None:
    for answer in answers.values():
        answer.result(TIMEOUT_SECONDS)


_ANY = AclBindingFilter(  # where something is None, the client takes any, whatever its types say
    ResourceType.ANY,
    None,  # type: ignore[arg-type]
    ResourcePatternType.ANY,
    None,  # type: ignore[arg-type]
    None,  # type: ignore[arg-type]
    AclOperation.ANY,
    AclPermissionType.ANY,
)


def _exactly(rule: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        rule.restype,
        rule.name,
        rule.resource_pattern_type,
        rule.principal,
        rule.host,
        rule.operation,
        rule.permission_type,
    )
