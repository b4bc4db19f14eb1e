"""Metrics: pure functions on arrays, and small accumulators that stream over frames and can be pooled."""
