"""``python -m instantly_async.cli``: the command ``instantly-async``."""

import sys

from . import main

sys.exit(main())
