"""What the tests stand on: a real PostgreSQL, a running gateway, the search for canaries."""
