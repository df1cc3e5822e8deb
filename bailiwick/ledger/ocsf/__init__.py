"""Records as events of the Open Cybersecurity Schema Framework (OCSF), version 1.8. Pure."""
