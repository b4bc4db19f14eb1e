"""Evaluation: a method over a data set, figures with intervals, a report; and the same for score maps."""
