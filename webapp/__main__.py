"""`python -m webapp` is the keystead command, also where nothing was installed but the requirements."""

from webapp.cli import main

main(prog_name="keystead")
