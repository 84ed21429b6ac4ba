"""``detector serve``: the answers of ``detector predict`` over HTTP, for programs and as a page for people.

The server process speaks HTTP and keeps results in memory; it never decodes what a client sends. Worker processes with
the weights do that (`worker`), one file at a time with a limit on time and memory; `pool` ends and replaces a worker
that hangs or crashes. `app` has the routes, `guard` and `connections` what holds for every request and connection.
docs/serve.md describes limits and what is promised.
"""
