"""How the page looks: on light and dark screens, and on paper."""

_COLOURS = """
:root {
  color-scheme: light dark;
  --back: #ffffff; --text: #1c2126; --muted: #5b6670; --line: #d8dee3; --panel: #f5f7f8;
  --plain: #9aa6b1; --accent: #1f6399; --third: #b7692c; --bad: #b3261e; --good: #2b6e3f; --warn: #8a5a00;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --back: #15191d; --text: #e3e8ec; --muted: #97a3ad; --line: #323a41; --panel: #1d2328;
    --plain: #74818c; --accent: #6cb0e2; --third: #dd9a61; --bad: #ef8a80; --good: #7fc493; --warn: #dcb35c;
  }
}
"""

_PAGE = """
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 62rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 0.75rem; padding-bottom: 0.3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.75rem 0 0.5rem; }
h1, h2, h3, td, th, dd, li, p { overflow-wrap: anywhere; }
p { margin: 0.4rem 0; max-width: 46rem; }
a { color: var(--accent); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.1rem 1.25rem; margin: 0 0 1.5rem; }
dt, .muted, .note { color: var(--muted); }
dd { margin: 0; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; margin: 1.5rem 0 0; padding: 0; }
nav a { text-decoration: none; }
.tiles { display: flex; flex-wrap: wrap; gap: 0.75rem; }
.tiles > div { flex: 1 1 9rem; background: var(--panel); border-radius: 6px; padding: 0.8rem 1rem; font-size: 0.86rem; }
.tiles p { margin: 0; }
.large { font-size: 1.65rem; line-height: 1.35; font-weight: 600; font-variant-numeric: tabular-nums; }
.verdict { border-left: 3px solid var(--accent); padding: 0.15rem 0 0.15rem 0.8rem; white-space: pre-line; }
.verdict.good { border-color: var(--good); }
.verdict.bad { border-color: var(--bad); }
#warnings { border-left: 3px solid var(--warn); padding-left: 1rem; margin-top: 2rem; }
#warnings h2 { border: 0; margin: 0; padding: 0; font-size: 1rem; color: var(--warn); }
#warnings ul { margin: 0.25rem 0 0; padding-left: 1.1rem; }
"""

_TABLES = """
.scroll { overflow-x: auto; margin: 0.75rem 0 1.25rem; }
table { border-collapse: collapse; font-size: 0.88rem; min-width: 50%; }
caption { text-align: left; color: var(--muted); padding-bottom: 0.35rem; }
th, td { padding: 0.28rem 0.9rem 0.28rem 0; text-align: left; vertical-align: top; font-weight: 400; min-width: 4rem; }
thead th { overflow-wrap: normal; font-weight: 600; border-bottom: 1px solid var(--text); vertical-align: bottom; }
tbody th, tbody td { border-bottom: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .number { white-space: normal; }
thead button {
  font: inherit; color: inherit; background: none; border: 0; padding: 0; text-align: inherit; cursor: pointer;
}
thead [aria-sort] button::after { content: " \\2191"; }
thead [aria-sort="descending"] button::after { content: " \\2193"; }
.bad, .error { color: var(--bad); }
.warning { color: var(--warn); }
.good { color: inherit; }
details { margin: 0.6rem 0; }
summary { cursor: pointer; color: var(--accent); }
"""

_CHARTS = """
figure { margin: 1rem 0 1.25rem; }
figcaption { font-weight: 600; font-size: 0.92rem; margin-bottom: 0.3rem; }
.legend { display: flex; gap: 1.25rem; list-style: none; margin: 0 0 0.4rem; padding: 0; font-size: 0.86rem; }
.key { display: inline-block; width: 0.75rem; height: 0.75rem; margin-right: 0.4rem; border-radius: 2px; }
.key.s0 { background: var(--plain); } .key.s1 { background: var(--accent); } .key.s2 { background: var(--third); }
.chart { display: block; max-width: 100%; height: auto; overflow: visible; }
.chart text { font-size: 11.5px; fill: var(--text); font-variant-numeric: tabular-nums; }
.chart .muted, .chart .figure { fill: var(--muted); }
.chart .figure { font-size: 11px; }
.bar { fill: var(--accent); }
.legend + .chart .bar.s0 { fill: var(--plain); }
.bar.plain { fill: var(--plain); }
.bar.s2 { fill: var(--third); } .bar.marked { fill: var(--bad); }
.line { fill: none; stroke: var(--accent); stroke-width: 1.8; stroke-linejoin: round; }
.legend + .chart .line.s0 { stroke: var(--plain); }
.line.s2 { stroke: var(--third); }
.dot { fill: none; stroke: var(--muted); }
.axis { stroke: var(--muted); stroke-width: 1; }
.grid { stroke: var(--line); stroke-width: 1; }
.area { fill: var(--plain); stroke: none; }
.range { stroke: var(--bad); stroke-width: 1.4; }
.chart .range-figure { fill: var(--bad); font-size: 10.5px; }
.multiples { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 0.5rem 1.25rem; }
.multiples figure { margin: 0.25rem 0; }
.multiples figcaption { font-weight: 400; font-size: 0.78rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.pair img { max-width: 100%; height: auto; border-radius: 4px; }
"""

_PAPER = """
@media print {
  @page { margin: 16mm; }
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, summary { display: none; }
  h2, h3, figcaption, caption { break-after: avoid; }
  figure, tr, .tiles > div { break-inside: avoid; }
  .tiles > div { border: 1px solid var(--line); }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  .bar, .area, .key, .tiles > div { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

STYLE = _COLOURS + _PAGE + _TABLES + _CHARTS + _PAPER
