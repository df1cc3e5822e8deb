"""Extra roles for a bounded time."""
