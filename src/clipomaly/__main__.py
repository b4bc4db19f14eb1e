"""`python -m clipomaly` is the command line."""

from clipomaly.cli import main

main()
