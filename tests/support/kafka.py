"""Real Kafka for tests."""
