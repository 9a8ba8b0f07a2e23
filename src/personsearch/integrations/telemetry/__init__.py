"""OpenTelemetry: traces."""
