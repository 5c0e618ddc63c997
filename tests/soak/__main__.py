"""`python -m tests.soak`: a long run."""

import sys

from tests.soak.run import main

sys.exit(main())
