"""`python -m daemon` is `creditd`."""

import gc
import sys

from daemon.command_line.cli import main

code = main()
# Searching all of web3 for garbage once more before it goes takes the interpreter half a second.
gc.freeze()
sys.exit(code)
