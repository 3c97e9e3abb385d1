"""The evidence of a grant as a file: gathered from node and books, checked without either."""
