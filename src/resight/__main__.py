"""`python -m resight`, for torchrun and for those whose PATH lacks the script."""

from resight.cli import main

main()
