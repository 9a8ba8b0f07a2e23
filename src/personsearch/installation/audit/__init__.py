"""The audit log: who looked at what and why, in a chain of records that shows every later change."""
