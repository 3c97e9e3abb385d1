"""The Idempotency-Key header, by draft-ietf-httpapi-idempotency-key-header.

The draft's header is a quoted string of RFC 8941; nearly everyone sends it bare. Both are taken,
and `abc` and `"abc"` are the same key.
"""

import re
from collections.abc import Sequence
from typing import Final

from api.problems.refusals import KeyMalformed, KeyMissing, Refused

KEY_LENGTH_MAX: Final = 255  # as long as anyone's, and short enough for an index row of the client

_BARE = re.compile(r"[ -~]+", re.ASCII)
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"', re.ASCII)
_ESCAPED = re.compile(r'\\(["\\])')


def parse_idempotency_key(values: Sequence[bytes]) -> str:
    """Return the key that the header's values give.

    Raises Refused(KeyMissing) without a value, and Refused(KeyMalformed) for several or for one
    that is not 1 to 255 printable ASCII characters.
    """
    if not values:
        raise Refused(KeyMissing())
    if len(values) > 1:
        raise Refused(KeyMalformed("came more than once"))
    text = values[0].decode("latin-1").strip(" \t")
    if text.startswith('"'):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            raise Refused(KeyMalformed("begins with a quote but is no quoted string"))
        text = _ESCAPED.sub(r"\1", quoted.group(1))
    if not text:
        raise Refused(KeyMalformed("is empty"))
    if len(text) > KEY_LENGTH_MAX:
        raise Refused(KeyMalformed(f"has {len(text)} characters, more than {KEY_LENGTH_MAX}"))
    if _BARE.fullmatch(text) is None:
        raise Refused(KeyMalformed("has characters that are not printable ASCII"))
    return text
