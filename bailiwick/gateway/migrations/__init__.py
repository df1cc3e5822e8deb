"""The state store's schema, version by version. Shipped in the package and run at start."""
