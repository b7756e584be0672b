"""A staged file becomes chunks of records: rows, values, keys, the rows that are quarantined, and the work folder."""
