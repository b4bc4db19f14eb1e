"""What a run found, kept: results in Lance, decisions in SQL."""
