"""`python -m tests.mutants`: mutation tests."""

import sys

from tests.mutants.run import main

sys.exit(main())
