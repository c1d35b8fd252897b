"""Access rules say what `topics.py` says: owners write, readers read, and nobody else does either."""

from __future__ import annotations

from confluent_kafka.admin import AclOperation, ResourceType

from ops.access import rules, users
from ops.installation import SERVICES
from shared.contracts.topics import ALL_TOPICS


def allowed(operation: AclOperation) -> set[tuple[str, str]]:
    """List who may do that with which topic."""
    return {
        (rule.principal.removeprefix("User:"), rule.name)
        for rule in rules()
        if rule.restype == ResourceType.TOPIC and rule.operation == operation
    }


def test_only_the_owner_of_a_topic_writes_it() -> None:
    assert allowed(AclOperation.WRITE) == {(topic.owner, topic.name) for topic in ALL_TOPICS}


def test_a_personal_topic_is_read_and_emptied_by_its_one_reader_alone() -> None:
    personal = {topic.name: topic.reader for topic in ALL_TOPICS if topic.personal}

    assert {(user, name) for user, name in allowed(AclOperation.READ) if name in personal} == {
        (reader, name) for name, reader in personal.items()
    }
    assert allowed(AclOperation.DELETE) == {(reader, name) for name, reader in personal.items()}


def test_a_service_reads_in_groups_of_its_own_name_alone() -> None:
    groups = {
        (rule.principal, rule.name)
        for rule in rules()
        if rule.restype == ResourceType.GROUP and rule.operation == AclOperation.READ
    }

    assert groups == {(f"User:{service}", f"{service}.") for service in SERVICES}


def test_the_exporter_sees_all_topics_and_groups_and_does_nothing_with_them() -> None:
    its_own = {(rule.operation, rule.name) for rule in rules() if rule.principal == "User:exporter"}

    assert its_own == {
        *((AclOperation.DESCRIBE, f"{service}.") for service in SERVICES),
        *((AclOperation.DESCRIBE, topic.name) for topic in ALL_TOPICS),
        *((AclOperation.DESCRIBE_CONFIGS, topic.name) for topic in ALL_TOPICS),
    }


def test_whoever_owns_a_topic_has_a_user() -> None:
    assert {*SERVICES, "app", "billing"} <= set(users())
