"""What waits for people: kept, told, decided, and run once it is approved."""
