"""The ledger as it is kept: written, read, signed, pruned, archived and searched."""
