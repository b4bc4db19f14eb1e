"""The web app in which people look at findings and decide."""
