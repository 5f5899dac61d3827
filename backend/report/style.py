"""The style sheet of the report's page: light and dark, a phone, a desk and paper."""

STYLE = """
:root { color-scheme: light dark; --ground: #f5f6f8; --card: #fff; --text: #1b2230; --quiet: #5c6675;
  --line: #dfe3e9; --side0: #76839a; --side1: #0b7d6f; --good: #12703a; --bad: #b3261e; --open: #8a5a00;
  --goodground: #e5f4ea; --badground: #fbe9e7; --openground: #fdf3dc; }
@media (prefers-color-scheme: dark) { :root { --ground: #10141a; --card: #181e27; --text: #e5e9f0;
  --quiet: #9aa5b5; --line: #2c3541; --side0: #9aa8bf; --side1: #3ecfb8; --good: #63d796; --bad: #ff8f85;
  --open: #f0bd5a; --goodground: #14301f; --badground: #3a1a18; --openground: #33280f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 1.5rem 1rem 4rem; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .7rem; } h3 { font-size: .95rem; margin: 0 0 .5rem; }
p { margin: .4rem 0; } .quiet { color: var(--quiet); font-size: .9rem; }
.banner { padding: 1.2rem 1.3rem; border-radius: .7rem; background: var(--card); border: 1px solid var(--line);
  border-left: .45rem solid var(--open); }
.banner.good { border-left-color: var(--good); } .banner.bad { border-left-color: var(--bad); }
.banner .sentence { font-size: 1.15rem; font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem; margin-top: 1rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--quiet); font-size: .85rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 1rem; }
.card { min-width: 0; padding: 1rem 1.1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .7rem; }
.claim { display: flex; gap: .6rem; align-items: baseline; justify-content: space-between; }
.claim b { font-weight: 600; } .figure { font-size: 1.05rem; font-variant-numeric: tabular-nums; }
.word { white-space: nowrap; font-size: .8rem; font-weight: 700; padding: .1rem .55rem; border-radius: 1rem; }
.word.good { color: var(--good); background: var(--goodground); }
.word.bad { color: var(--bad); background: var(--badground); }
.word.open { color: var(--open); background: var(--openground); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.text, th.text { text-align: left; } th { color: var(--quiet); font-weight: 600; }
td:first-child { min-width: 6rem; } th { overflow-wrap: normal; }
details { margin-top: .6rem; } summary { cursor: pointer; color: var(--quiet); font-size: .9rem; }
svg.plot { display: block; width: 100%; max-width: 640px; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--text); } svg .quietword { fill: var(--quiet); font-size: 11px; }
svg .markword { font-size: 11px; font-weight: 600; } svg .boundword { fill: var(--bad); font-size: 11px; }
svg .markword, svg .boundword { paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .area { fill-opacity: .28; stroke-width: 1.5; } svg .area.side0, svg .key.side0 { fill: var(--side0); }
svg .area.side0, svg .mark.side0 { stroke: var(--side0); } svg .area.side1, svg .key.side1 { fill: var(--side1); }
svg .area.side1, svg .mark.side1 { stroke: var(--side1); } svg .mark { stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .band { fill: var(--side1); fill-opacity: .2; } svg .middle { fill: none; stroke: var(--side1); stroke-width: 2; }
svg .bound { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 6 4; }
svg .bar { fill: var(--side0); fill-opacity: .45; } svg .barpart { fill: var(--bad); }
figure.pair { margin: 0 0 1rem; } .two { display: grid; grid-template-columns: 1fr 1fr; gap: .7rem; }
.one svg { display: block; width: 100%; height: auto; border-radius: .4rem; }
.two p { margin: 0 0 .2rem; font-size: .85rem; } .two svg { display: block; width: 100%; height: auto;
  border-radius: .4rem; background: #000; }
figcaption { margin-bottom: .5rem; font-size: .92rem; }
.seen { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; stroke: #4cd07d; }
.seen.apart { stroke: #ff5252; stroke-width: 3; }
.two svg text { fill: #fff; font-weight: 600; paint-order: stroke; stroke: #000; stroke-width: 3px; }
.kind { display: inline-block; margin: 0 .3rem .2rem 0; padding: .05rem .5rem; border-radius: 1rem; font-size: .8rem;
  font-weight: 600; color: var(--bad); background: var(--badground); }
footer { margin-top: 3rem; } dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem;
  font-size: .9rem; margin: 0; } dt { color: var(--quiet); } dd { margin: 0; }
@media (max-width: 600px) { .two { grid-template-columns: 1fr; } .claim { flex-wrap: wrap; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { :root { color-scheme: light; --ground: #fff; --card: #fff; --text: #000; --quiet: #444;
  --line: #bbb; --side0: #66748b; --side1: #0b7d6f; --good: #12703a; --bad: #b3261e; --open: #8a5a00; }
  body { max-width: none; padding: 0; font-size: 11pt; } .card, figure.pair, .banner { break-inside: avoid; }
  h2 { break-after: avoid; } .grid { grid-template-columns: 1fr 1fr; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
