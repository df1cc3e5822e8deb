"""Python mounts: functions of an application, which it guards with `bailiwick.guard`."""
