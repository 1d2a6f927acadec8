"""The page around the report: its head and its style. Nothing is fetched, nothing is run."""

from string import Template

from tcalloc.evaluate.report.markup import Markup, text

__all__ = ["page"]

# Contrasts of text and lines to the page's ground are at least 4.5 to 1, light and dark, but for what is drawn in the
# background on purpose (other policies, rules).
STYLE = """
:root {
  color-scheme: light dark;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  --ground: #ffffff; --raised: #f4f5f7; --ink: #1d2125; --soft: #565d66; --rule: #d9dce1; --pick: #e3eefb;
  --line-1: #0b62b8; --line-2: #b34700; --line-3: #00795e; --line-4: #8a3a8c; --line-5: #7a5f00; --line-6: #b3235f;
  --mixture: #1d2125; --oracle: #62666c; --other: #b4b9c0;
  --group-0: #8fc1e3; --group-1: #f0c36a; --group-2: #d99a9a; --on-group: #14171a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171a; --raised: #1e2328; --ink: #e8eaed; --soft: #a9b0b9; --rule: #3a4149; --pick: #17324d;
    --line-1: #6fb4ff; --line-2: #ff9d5c; --line-3: #3fcfa6; --line-4: #dc93e0; --line-5: #d9bd4a; --line-6: #ff86b0;
    --mixture: #f2f3f5; --oracle: #a9b0b9; --other: #59626c;
    --group-0: #7fb3d8; --group-1: #dfb055; --group-2: #cf8d8d;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 var(--sans); }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.2rem; }
h1 { font-size: clamp(1.35rem, 1rem + 1.7vw, 2rem); line-height: 1.25; margin: .3rem 0 .8rem; text-wrap: balance; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2.6rem 0 .6rem; }
h1, h2, p, li, dd, th, td { overflow-wrap: anywhere; }
p, ul { max-width: 46rem; margin: .6rem 0; }
ul { padding-left: 1.2rem; }
li { margin: .3rem 0; }
.over, .note, footer, small { color: var(--soft); }
.over { font-size: .9rem; margin: 0; }
.lead { font-size: 1.08rem; }
.note { font-size: .9rem; }
.verdict { border-left: 4px solid var(--line-1); background: var(--raised); padding: .7rem 1rem; margin: .8rem 0; }
figure { margin: 1rem 0; }
figcaption { font-size: .9rem; color: var(--soft); max-width: 46rem; margin-top: .4rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg.narrow { display: none; }
svg.small { max-width: 27rem; }
.key { list-style: none; padding: 0; margin: .5rem 0; display: flex; flex-wrap: wrap; gap: .15rem 1.1rem;
  max-width: none; }
.key li { margin: 0; font-size: .9rem; }
.swatch { display: inline-block; width: 28px; height: 10px; vertical-align: baseline; }
.scroll { overflow-x: auto; margin: .6rem 0 .9rem; position: relative; }
.scroll:focus-visible { outline: 2px solid var(--line-1); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; min-width: 100%; }
.heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
th, td { text-align: right; padding: .35rem .5rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
td, thead th { white-space: nowrap; overflow-wrap: normal; }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--soft); }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--ground); min-width: 7rem; }
tbody th { font-weight: 600; }
.group th { padding-top: .9rem; color: var(--soft); font-weight: 600; position: static; }
.group th span { position: sticky; left: .6rem; display: inline-block; max-width: calc(100vw - 3.5rem); }
td small, th small { display: block; font-size: .85em; font-weight: 400; }
td.pick { background: var(--pick); }
td.pick::after { content: "use this"; display: block; font-size: .76rem; font-weight: 600; color: var(--line-1); }
.stacks { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: .25rem .8rem; margin: .8rem 0;
  max-width: 46rem; }
.stacks p { margin: 0; font-size: .9rem; }
.stacks .budget { grid-column: 1 / -1; font-weight: 600; margin-top: .5rem; }
.stack { display: flex; height: 1.5rem; background: var(--raised); }
.stack span { display: block; overflow: hidden; white-space: nowrap; font-size: .78rem; line-height: 1.5rem;
  color: var(--on-group); text-align: center; border-right: 1px solid var(--ground); }
.g0 { background: var(--group-0); } .g1 { background: var(--group-1); } .g2 { background: var(--group-2); }
.chip { display: inline-block; width: .9em; height: .9em; vertical-align: -.08em; }
dl { display: grid; grid-template-columns: minmax(6rem, auto) 1fr; gap: .3rem 1rem; max-width: 46rem;
  font-size: .92rem; }
dt { color: var(--soft); }
dd { margin: 0; }
footer { padding-top: 2rem; padding-bottom: 3rem; font-size: .85rem; }
@media (max-width: 40rem) {
  header, main, footer { padding-left: 1rem; padding-right: 1rem; }
  svg.wide { display: none; }
  svg.narrow { display: block; }
  .stacks, dl { grid-template-columns: 1fr; }
  dt { margin-top: .3rem; }
}
@media print {
  :root {
    --ground: #ffffff; --raised: #f4f5f7; --ink: #000000; --soft: #444444; --rule: #cccccc; --pick: #e3eefb;
    --line-1: #0b62b8; --line-2: #b34700; --line-3: #00795e; --line-4: #8a3a8c; --line-5: #7a5f00; --line-6: #b3235f;
    --mixture: #000000; --oracle: #62666c; --other: #b4b9c0;
    --group-0: #8fc1e3; --group-1: #f0c36a; --group-2: #d99a9a;
  }
  html { font-size: 10pt; }
  body { font-size: 1rem; }
  .scroll { overflow: visible; }
  table { font-size: .8rem; }
  th, td { padding: .2rem .35rem; }
  td, thead th { white-space: normal; }
  th:first-child { position: static; }
  svg.wide { display: block; } svg.narrow { display: none; }
  figure, tr, .stacks, .verdict { break-inside: avoid; }
  h2 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<p class="over">$over</p>
<h1>$first</h1>
$lead</header>
<main>
$body</main>
<footer>$footer</footer>
</body>
</html>
""")


def page(*, title: str, over: str, first: str, lead: Markup, body: Markup, footer: str) -> str:
    """Return the whole page.

    Parameters
    ----------
    title : str
        Of the window.
    over : str
        The line above the first sentence.
    first : str
        The sentence that matters first.
    lead : Markup
        What follows it at once.
    body : Markup
        All sections.
    footer : str
        The last line.
    """
    return PAGE.substitute(
        title=text(title), style=STYLE, over=text(over), first=text(first), lead=lead, body=body, footer=text(footer)
    )
