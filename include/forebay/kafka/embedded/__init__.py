"""A real Apache Kafka that forebay starts: for trying, tests and laptops. It shares no import with the rest of
`kafka`."""
