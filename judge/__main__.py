"""Entry point."""

import sys

from judge import program

if __name__ == "__main__":
    sys.exit(program.main())
