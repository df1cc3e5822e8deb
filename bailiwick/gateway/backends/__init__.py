"""The databases that mounts stand in front of, as the gateway itself reads them."""
