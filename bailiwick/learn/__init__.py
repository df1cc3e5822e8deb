"""Records → draft: what was really used, and the smallest policy that covers it."""
