"""`python -m clipomaly.training.mini`."""

from clipomaly.training.mini.run import main

if __name__ == "__main__":
    main()
