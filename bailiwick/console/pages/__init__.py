"""The pages, one module each: what it reads, and which templates show it."""
