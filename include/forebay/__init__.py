"""forebay: files in, Kafka records out, exactly once, with the proof kept."""

__version__ = "0.1.0"
