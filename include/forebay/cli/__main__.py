"""`python -m forebay.cli`: the same as the `forebay` script."""

from forebay.cli.main import main

main()
