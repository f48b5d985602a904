"""What a process writes about itself, and how anyone reads it."""
