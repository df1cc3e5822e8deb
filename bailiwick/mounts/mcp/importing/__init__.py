"""From the settings of MCP clients to the mounts of a policy. No I/O."""
