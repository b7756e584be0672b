"""Deterministic simulation of the publish protocol: the machine of `forebay.kafka.publish.protocol` in a seeded model
of Kafka (docs/simulation.md)."""
