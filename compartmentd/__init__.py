"""compartmentd: declared Socket.IO namespaces and rooms, enforced with the tokens that users already have.

This module runs before every other of the package, so it imports none of them.
"""

__version__ = "0.1.0"
