"""`python -m tests.fuzz`: a campaign."""

import sys

from tests.fuzz.campaign import main

sys.exit(main())
