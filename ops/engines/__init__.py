"""The engines that production uses, Apache Kafka and PostgreSQL, as child processes on this machine."""

from ops.engines.engine import EngineError
from ops.engines.kafka import EmbeddedKafka
from ops.engines.postgres import EmbeddedPostgres

__all__ = ["EmbeddedKafka", "EmbeddedPostgres", "EngineError"]
