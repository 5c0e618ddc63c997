"""Development mode (`serve --dev`): on loopback addresses only, with secrets made where they are missing."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from compartmentd.configuration.settings import Configuration
from compartmentd.errors import UsageError
from compartmentd.keys.files import make_missing_secrets
from compartmentd.net.bind import Passed, is_loopback


class DevelopmentMode(msgspec.Struct, frozen=True):
    """Prepares configurations for `serve --dev`; `passed` are the sockets of the service manager."""

    passed: Passed

    def prepare(self, configuration: Configuration) -> Mapping[str, bytes]:
        """Make the secrets that are missing, on listeners that only this machine can reach.

        Returns:
            By path the SHA-256 of each that was made.

        Raises:
            UsageError: a listener can be reached from elsewhere; development mode mints tokens for the asking.
            OSError: a secret cannot be made.
        """
        addresses = (*configuration.server.listen, *configuration.server.admin)
        exposed = [address for address in addresses if not is_loopback(address, self.passed)]
        if exposed:
            shown = ", ".join(f"`{address}`" for address in exposed)
            raise UsageError(
                f"`--dev` serves on loopback addresses alone, and {shown} can be reached from elsewhere"
            )
        return make_missing_secrets(configuration.issuers)
