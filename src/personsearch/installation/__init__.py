"""What runs here: settings, services, promotion, API keys and the audit log."""
