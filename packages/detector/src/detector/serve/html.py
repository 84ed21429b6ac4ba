"""The pages for people. They work without script; ``static/page.js`` adds dropping, pasting and progress."""

from __future__ import annotations

from html import escape
from typing import Any

from .limits import MEBI, Limits

__all__ = ["error_page", "login_page", "result_page", "start_page"]

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/page.css">
{script}</head>
<body>
<main>
<h1>{title}</h1>
{content}</main>
</body>
</html>
"""
SCRIPT = '<script src="/static/page.js" defer></script>\n'


def _page(title: str, content: str, script: bool = False) -> str:
    return PAGE.format(title=escape(title), content=content, script=SCRIPT if script else "")


def _caution(caution: str | None) -> str:
    return f'<p class="caution">{escape(caution)}</p>\n' if caution else ""


def start_page(caution: str | None, limits: Limits, kept: str | None) -> str:
    """Return the page with the form. *kept* is where files are kept on disk, None if nowhere."""
    minutes = f"{limits.result_seconds / 60:g} minutes"
    if kept is None:
        where = f"The service keeps your file in memory for at most {minutes} and does not write it to disk."
    else:
        where = "Your file and its answer are kept on disk by the operator of this service."
    return _page(
        "Real or forged faces",
        f"""{_caution(caution)}<p>Examines the faces in an image or a video, and what the file
tells about its history.</p>
<form id="form" action="/upload" method="post" enctype="multipart/form-data" data-bytes="{limits.num_bytes}">
<div id="drop" class="drop">
<label for="file">Image or video</label>
<input id="file" name="file" type="file" accept="image/*,video/*" required aria-describedby="hint">
<p id="hint" class="meaning">Choose a file, drop it here, or paste an image.
At most {limits.num_bytes / MEBI:g} MiB and {limits.pixels / 1e6:g} megapixels.</p>
</div>
<details>
<summary>Options</summary>
<p><label for="prior">Prior: probability of a forgery before the score is known</label>
<input id="prior" name="prior" type="number" min="0.000001" max="0.999999" step="any" value="0.5" required></p>
<p><input id="robustness" name="robustness" type="checkbox" value="true">
<label for="robustness">Score the image again after recompression, as sites and messengers do</label></p>
</details>
<p><button type="submit">Examine</button></p>
<p id="status" role="status"></p>
<progress id="progress" max="1" value="0" aria-label="Upload" hidden></progress>
<p id="error" role="alert" class="error"></p>
</form>
<p class="meaning">{where}</p>
""",
        script=True,
    )


def result_page(
    id_: str, caution: str | None, answer: str, values: dict[str, Any], meaning: str, maps: bool, minutes: float
) -> str:
    """Return the page of a result; *answer* is its HTML, *maps* whether it has heat maps."""
    drawn = any(face["corners"] is not None for face in values["faces"])
    figure = ""
    if drawn:
        count = len(values["faces"])
        faces = "1 face" if count == 1 else f"{count} faces"
        figure = (
            f'<figure class="annotated"><img src="/v1/results/{id_}/annotated.jpg" '
            f'alt="The image with {faces} outlined and numbered">'
            f"<figcaption>{faces}; the squares are what the model sees</figcaption></figure>\n"
        )
    draw = "" if maps else f'<li><a id="maps" href="/results/{id_}?maps=1">Draw heat maps</a> (takes a moment)</li>\n'
    return _page(
        "Real or forged faces",
        f"""{_caution(caution)}{figure}{answer}{meaning}
<nav aria-label="This result">
<ul class="actions">
{draw}<li><a href="/v1/results/{id_}/evidence.zip" download>Download the evidence bundle (ZIP)</a></li>
<li><a href="/v1/results/{id_}" download="answer.json">Download the answer (JSON)</a></li>
<li><a href="/">Examine another file</a></li>
</ul>
<form action="/results/{id_}/delete" method="post"><button type="submit">Delete this result</button></form>
<p id="status" role="status"></p>
</nav>
<p class="meaning">The result is kept in memory for at most {minutes:g} minutes.</p>
""",
        script=True,
    )


def error_page(title: str, detail: str, caution: str | None) -> str:
    """Return the page of an error."""
    return _page(title, f'{_caution(caution)}<p class="error">{escape(detail)}</p>\n<p><a href="/">Back</a></p>\n')


def login_page(wrong: bool) -> str:
    """Return the page that asks for the token."""
    error = '<p role="alert" class="error">This is not the token.</p>\n' if wrong else ""
    return _page(
        "Token",
        f"""{error}<form action="/login" method="post">
<p><label for="token">Token of this service</label>
<input id="token" name="token" type="password" autocomplete="current-password" required></p>
<p><button type="submit">Continue</button></p>
</form>
""",
    )
