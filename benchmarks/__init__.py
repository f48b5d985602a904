"""What gc_otel costs, measured side by side in one run: ``python -m benchmarks``."""
