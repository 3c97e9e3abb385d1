"""What a node cannot give."""


class Unfit(Exception):
    """The configuration asks of a node what it cannot give: its owner changes one or the other."""
