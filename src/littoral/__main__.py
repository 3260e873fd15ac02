"""`python -m littoral` is `littoral`."""

from littoral.cli.main import main

main()
