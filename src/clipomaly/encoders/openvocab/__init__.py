"""Models that segment by name or propose masks, through torch and `transformers` (extra `[torch]`)."""
