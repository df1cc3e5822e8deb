"""What people are told elsewhere: an outbox, and the channels it is sent by."""
