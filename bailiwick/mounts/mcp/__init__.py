"""MCP mounts: a wire-level MCP server in front of MCP servers."""
