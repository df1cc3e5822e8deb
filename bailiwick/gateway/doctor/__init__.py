"""What `bailiwick doctor` looks at. Nothing here changes anything; no finding holds a secret."""
