"""Room templates: which rooms they match, which of them overlap, and how a room finds its template.

The public face: `cache.RoomCache` finds the template of a room, `overlap` finds conflicts and ambiguities for the
compiler, `pattern` parses the pattern grammar, `charset` says what a room name may contain.
"""
