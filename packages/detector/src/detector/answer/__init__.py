"""The answer for one file: its compression history, every face with its likelihood ratio, and a verdict with its
reason.

`examine.Examiner` makes an `Examined` of a file: an `Answer` and its images. `record` defines the answer and its JSON,
`text` and `page` show it, `bundle` writes it as evidence. The command line and the server use the same functions.
"""
