"""Renews `ops/kafka.lock`: resolves Kafka and all it needs anew, and locks what is found."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.maven import Artifact

from ops.engines.jars import AT_ONCE, KAFKA_VERSION, LOCK, artifact, digest, maven

# slf4j-simple: Kafka's log goes to standard error, and needs no configuration file.
ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
# The broker's own tools, such as that for consumer groups; what those need that are used here is there already.
ALONE = (f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",)
HEADER = """\
# The jars that embedded Kafka consists of: coordinate, size in bytes, SHA-256.
# Renewed by: .venv/bin/python -m ops.engines
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        context = maven(Path(scratch))
        inputs, transitive = context.resolver.resolve([context.create_dependency(root) for root in ROOTS])
        artifacts = [dependency.artifact for dependency in [*inputs, *transitive]]
        artifacts += [artifact(context, coordinate) for coordinate in ALONE]
        paths = list(pool.map(Artifact.resolve, artifacts))
        lines = [
            f"{one.groupId}:{one.artifactId}:{one.version} {path.stat().st_size} {digest(path)}\n"
            for one, path in zip(artifacts, paths, strict=True)
        ]
    LOCK.write_text(HEADER + "".join(sorted(lines)))


if __name__ == "__main__":
    main()
