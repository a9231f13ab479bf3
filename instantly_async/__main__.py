"""``python -m instantly_async``: the command ``instantly-async``."""

import sys

from .cli import main

sys.exit(main())
