"""The study of compression as a shortcut: recipes of training, compared on faces of new people.

docs/study.md has the questions with their criteria; ``python -m tools study`` makes everything and writes the table.
"""
