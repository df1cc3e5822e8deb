"""Sinks: where the ledger's records and checkpoints are delivered, each at its own pace, from a cursor on disk.

Nothing here is on the way of a decision: sinks read the ledger's file behind the writer.
"""
