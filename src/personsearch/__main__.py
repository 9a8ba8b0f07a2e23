"""`python -m personsearch`, which `torchrun -m` needs."""

from personsearch.cli import main

if __name__ == "__main__":  # a process that the promoter spawns imports this file under another name
    main()
