"""How a fact travels safely: outbox, relay, consumer, dead letters, purge."""
