"""HTTP mounts: a reverse proxy in front of APIs, that decides each request."""
