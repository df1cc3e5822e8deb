"""Findings: the ledger is read onward, and what departs from the usual is recorded and told. Off every call's way."""
