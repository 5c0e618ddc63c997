"""`python -m compartmentd` is `compartmentd`."""

from __future__ import annotations

from compartmentd.cli.main import main

if __name__ == "__main__":
    main()
