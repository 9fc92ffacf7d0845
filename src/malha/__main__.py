"""`python -m malha` is `./malha`."""

from malha.project.cli import main

main()
