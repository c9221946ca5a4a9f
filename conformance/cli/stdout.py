"""What a command says on its standard output. Who reads it may have enough: that changes no verdict and no file."""

import os
import sys


def write_stdout(text: str) -> None:
    """Write at once. When nobody reads any more (``| head``), this and all that follows goes nowhere."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())  # what is left in its buffer is written when the process ends
        os.close(devnull)
