"""`python -m function` serves."""

from function import main

main.main()
