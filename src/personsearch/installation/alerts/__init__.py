"""Watches live ingest: compares new crops with watched searches, and tells webhooks."""
