"""Findings in the formats of other tools, and people's corrections back; one format a file."""
