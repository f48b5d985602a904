"""What lives in the observed process: the monitor thread, the fork hooks, start and stop."""
