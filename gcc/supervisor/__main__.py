"""`python -m gcc.supervisor [VERB]`: see gcc.cli."""

import sys

from gcc.cli import main

sys.exit(main(sys.argv[1:]))
