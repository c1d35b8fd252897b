"""How Kafka is reached, and by which name: the one place that says what every client of it is made with."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aiokafka import conn
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_PROVE = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


@dataclass(frozen=True)
class Kafka:
    """A Kafka, and how a client shows who it is. By default it does not, and nothing is encrypted."""

    servers: str
    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    """Whose certificates are believed; by default those that this machine believes."""

    @property
    def faststream(self) -> dict[str, Any]:
        """The same for FastStream, which takes one text for one server."""
        return {"bootstrap_servers": self.servers.split(","), "security": self._security}

    @property
    def _security(self) -> BaseSecurity:
        context = ssl.create_default_context(cafile=self.ca_file) if self.protocol.endswith("SSL") else None
        if not self.protocol.startswith("SASL"):
            return BaseSecurity(context, use_ssl=context is not None)
        prove = _PROVE[self.mechanism]
        return prove(self.username, self.password, context, use_ssl=context is not None)

    @property
    def client(self) -> dict[str, Any]:
        """The same for every client of aiokafka."""
        return {"bootstrap_servers": self.servers, **parse_security(self._security)}

    @property
    def librdkafka(self) -> dict[str, str | int | float | bool]:
        """The same in the words of most other clients."""
        words: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.servers,
            "security.protocol": self.protocol,
        }
        if self.protocol.startswith("SASL"):
            words |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        return words | ({"ssl.ca.location": str(self.ca_file)} if self.ca_file else {})

    @asynccontextmanager
    async def admin(self, **options: Any) -> AsyncIterator[AIOKafkaAdminClient]:  # noqa: ANN401 - what the client takes
        """Connect a client that administers, for as long as the context lasts."""
        admin = AIOKafkaAdminClient(**self.client, **options)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc] # the client library has no types
    """Takes a broken connection for a broken connection on uvloop, too.

    After a reset the client believes for a moment that it is connected. What it writes then asyncio drops, and uvloop
    refuses by a RuntimeError: that ends the client's own tasks without a word, and with the one that renews metadata
    the membership in a group for good (https://github.com/aio-libs/aiokafka/issues/1038).
    """

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - as the library has it
        """Raise KafkaConnectionError for it, which every caller knows what to do with."""
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError from error


conn.AIOKafkaConnection = Connection  # where the library looks for it when it connects
