"""Which rows of which content became which offsets: the ledger topic, how it is read, kept and guarded."""
