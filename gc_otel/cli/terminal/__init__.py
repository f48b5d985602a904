"""What `gc-otel top` is made of: columns as data, drawings of text, and the screens, which alone import textual."""
