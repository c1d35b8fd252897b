"""How Kafka is reached, and by which name: the one place that says what every client of it is made with."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aiokafka.admin import AIOKafkaAdminClient
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
