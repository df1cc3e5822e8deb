"""Looking back: use of grants, drift of backends, the ledger replayed against another policy."""
