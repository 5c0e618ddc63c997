"""All attacks: importing a file enters what stands in it."""

from tests.abuse import bodies, bombs, floods, handshakes, heads, names, origins, slow_readers, tls, tokens
from tests.abuse.attack import ATTACKS

__all__ = ["ATTACKS", "bodies", "bombs", "floods", "handshakes", "heads", "names", "origins"]
__all__ += ["slow_readers", "tls", "tokens"]
