"""Tests. A package only so that `tests.support` can be imported; the folders below have no `__init__.py`."""
