"""`python -m hashret` is the command `hashret`."""

from hashret.cli import main

if __name__ == "__main__":
    main()
