"""Draws the pull times as horizontal bars, in plain SVG."""
from html import escape

from contestants import PEER, PYRO

WIDTH = 760
LABEL_RIGHT = 236  # labels end here, bars begin a little further
BAR_LEFT = 248
BAR_MAX = 376
ROW = 26
BAR = 16

# The card brings its own background, so that it can be read on any page; it follows the reader's choice
# of light or dark.
STYLE = """\
  <style>
    text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
    .card { fill: #ffffff; stroke: #d1d9e0; }
    .title { font-size: 15px; font-weight: 600; }
    .group { font-weight: 600; }
    .quiet { fill: #59636e; }
    .pyro { fill: #2f6feb; }
    .peer { fill: #afb8c1; }
    .bound { fill: none; stroke: #8c959f; stroke-dasharray: 3 3; }
    .name-pyro { font-weight: 600; }
    .name-bound { fill: #59636e; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .card { fill: #0d1117; stroke: #3d444d; }
      .quiet, .name-bound { fill: #9198a1; }
      .pyro { fill: #4c8dff; }
      .peer { fill: #57606a; }
      .bound { stroke: #767e88; }
    }
  </style>"""


class Canvas:
    def __init__(self):
        self.parts, self.y = [], 0

    def text(self, x, text, css="", anchor="start"):
        self.parts.append(f'  <text x="{x}" y="{self.y}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>')

    def bar(self, length, css):
        top = self.y - BAR + 3
        self.parts.append(
            f'  <rect x="{BAR_LEFT}" y="{top}" width="{max(length, 1):.1f}" height="{BAR}" rx="3" class="{css}"/>'
        )


def draw_group(canvas, report, compression, seconds_at_full_width):
    pulls = report.of(compression)
    pyro = next(r for r in pulls if r.contestant.kind == PYRO)
    canvas.y += ROW + 8
    canvas.text(24, report.layer_title(compression), "group")
    for result in pulls:
        canvas.y += ROW
        kind = result.contestant.kind
        length = result.median / seconds_at_full_width * BAR_MAX
        canvas.text(LABEL_RIGHT, result.contestant.name, f"name-{kind}", "end")
        canvas.bar(length, kind)
        end = round(BAR_LEFT + length + 8, 1)
        canvas.text(end, f"{result.median:.2f} s", f"name-{kind}")
        if kind == PEER:
            canvas.text(end + 56, f"{result.median / pyro.median:.1f} ×", "quiet")


def pull_chart(report):
    canvas = Canvas()
    canvas.y = 36
    canvas.text(24, "From a registry to files on disk, synced: seconds, less is better", "title")
    canvas.y += 20
    how = f"{report.rounds} rounds in turns, medians; ×: as long as pyro takes; dashed: bounds that no pull can beat"
    canvas.text(24, how, "quiet")
    slowest = max(result.median for result in report.results)
    for compression in report.layer_sizes:
        draw_group(canvas, report, compression, slowest)
    height = canvas.y + 28
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "  <title>Time of a pull, pyro beside other tools</title>",
        STYLE,
        f'  <rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" class="card"/>',
        *canvas.parts,
        "</svg>",
        "",
    ])
