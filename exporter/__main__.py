"""Entry point."""

import sys

from exporter import program

if __name__ == "__main__":
    sys.exit(program.main())
