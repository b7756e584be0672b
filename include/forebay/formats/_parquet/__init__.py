"""How Parquet files are read: column by column as the file's own schema says, with a witness."""
