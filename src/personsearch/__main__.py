"""`python -m personsearch`, which `torchrun -m` needs."""

from personsearch.cli import main

main()
