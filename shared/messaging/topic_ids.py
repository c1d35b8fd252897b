"""Which topic of a name it is: a recreated one has another id, so no old position is ever applied to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from time import monotonic
from uuid import UUID

from aiokafka import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from shared.errors import NotNow
from shared.messaging.kafka import Kafka

KEPT_SECONDS = 5.0


class TopicIds:
    """Tells which topic of a name it is: a recreated one has another id. Answers are kept for a few seconds."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._client: AIOKafkaClient | None = None
        self._known: dict[str, UUID] = {}
        self._until = 0.0

    async def start(self, topics: Iterable[str]) -> None:
        """Connect. Raises a transient error where no broker answers, or one of the topics is missing."""
        self._client = AIOKafkaClient(**self._kafka.client)
        try:
            await self._client.bootstrap()
            await self.of(topics, anew=True)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect."""
        if self._client:
            await self._client.close()

    async def of(self, topics: Iterable[str], *, anew: bool = False) -> Mapping[str, UUID]:
        """Name the topics' ids. Raises `NotNow` while one of them is missing."""
        topics = list(topics)
        if anew or monotonic() > self._until or not self._known.keys() >= set(topics):
            self._known |= await fetch_topic_ids(self._client, topics)
            self._until = monotonic() + KEPT_SECONDS
        return self._known


# The client library speaks metadata up to version 5; the id of a topic comes with version 10.


class _Uuid(AbstractType[UUID]):  # type: ignore[misc] # no types
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestV10(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestV10]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestV10]) -> _MetadataRequestV10:
        topics: list[tuple[UUID, str, dict[int, bytes]]] = [(UUID(int=0), name, {}) for name in self._topics]
        return request_struct_class(topics, False, False, False, {})  # noqa: FBT003 - the wire has no names


async def fetch_topic_ids(client: AIOKafkaClient, topics: Iterable[str]) -> dict[str, UUID]:
    """Ask the broker which topics of these names there are now. Raises `NotNow` while one is missing."""
    response = await client.send(client.get_random_node(), _MetadataRequest(topics))
    for error_code, name, *_ in response.topics:
        if error_code:
            msg = f"{name} is not there (broker error {error_code})"
            raise NotNow(msg)
    return {name: topic_id for _, name, topic_id, *_ in response.topics}
