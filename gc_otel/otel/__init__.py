"""Where the numbers go: the table of metrics, and its rendering as OpenTelemetry instruments."""
