"""Real S3 API for tests."""
