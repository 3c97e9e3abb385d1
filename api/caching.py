"""What caches between the API and whoever asks are told."""

from typing import Final

NO_STORE: Final = ("Cache-Control", "no-store")
