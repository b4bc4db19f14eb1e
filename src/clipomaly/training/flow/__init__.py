"""Training FlowCLAS: a normalizing flow on frozen features, with outliers pasted into ordinary frames."""
