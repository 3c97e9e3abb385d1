"""The periods of UTC that budgets and caps count by."""

from typing import Literal

Period = Literal["day", "week", "month", "ever"]
"""`ever` is one period without an end."""
