/** The look of the page that `
inspect --html` writes, light and dark by the reader's choice, also in print. */
export const pageStyle = `
:root {
  color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1b2027; --soft: #5c6672;
  --line: #d9dee5; --stored: #2f6fb2; --used: #b5651d; --empty: #e6eaef; --error: #b3261e;
  --warning: #8a5a00; --good: #1f7a3f
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14181d; --card: #1c2229; --text: #e4e8ed; --soft: #98a3b0; --line: #323b46;
    --stored: #6fb0f0; --used: #e8a25c; --empty: #2a323b; --error: #ff8a80; --warning: #f0c060;
    --good: #7fd69b
  }
}
* { box-sizing: border-box }
body {
  margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; background: var(--back);
  color: var(--text); font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere
}
h1 { font-size: 1.5rem; margin: 0 0 .2rem }
h2 { font-size: 1.1rem; margin: 0 0 .7rem }
h3 { font-size: 1rem; margin: 0 0 .5rem }
.soft { color: var(--soft) }
p { margin: .3rem 0 }
section, article {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem;
  margin-top: 1rem
}
.cards {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: 1rem;
  margin-top: 1rem
}
.cards article { margin: 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; margin: 0 }
dt { color: var(--soft) }
dd { margin: 0; min-width: 0 }
.disk {
  display: flex; height: 5.2rem; border: 1px solid var(--line); border-radius: 6px; overflow: hidden;
  background: var(--empty)
}
.disk > div {
  position: relative; min-width: 3px; flex-basis: 0; flex-shrink: 1; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; font-size: .85rem;
  border-right: 1px solid var(--card)
}
.disk span { display: block; padding: .45rem .5rem; overflow: hidden; text-overflow: ellipsis }
.disk .gap { background: repeating-linear-gradient(135deg, transparent 0 5px, var(--line) 5px 6px) }
.disk i { position: absolute; left: 0; bottom: 0; height: .5rem; background: var(--text); opacity: .65 }
.tone0 { background: #9cc7ee }
.tone1 { background: #a8dab5 }
.tone2 { background: #dfb8e6 }
.tone3 { background: #f3d08a }
.tone4 { background: #f0b3a6 }
.tone5 { background: #a9d9d9 }
@media (prefers-color-scheme: dark) {
  .tone0 { background: #24507b }
  .tone1 { background: #245a36 }
  .tone2 { background: #5d3269 }
  .tone3 { background: #6a4f12 }
  .tone4 { background: #713427 }
  .tone5 { background: #1f5757 }
}
.ruler {
  display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem;
  margin: .25rem 0 1rem
}
.row {
  display: grid; grid-template-columns: 11rem 1fr; gap: .2rem .8rem; margin: .7rem 0;
  align-items: start
}
.row svg {
  display: block; width: 100%; height: 14px; background: var(--empty); border-radius: 2px;
  margin-bottom: 3px
}
.stored { fill: var(--stored) }
.used { fill: var(--used) }
.level1 { opacity: .35 }
.level2 { opacity: .55 }
.level3 { opacity: .78 }
.key {
  display: inline-block; width: .9rem; height: .9rem; border-radius: 2px; vertical-align: -1px;
  margin: 0 .35rem 0 .9rem
}
.issue { border-left: 4px solid var(--line); padding: .2rem .7rem; margin: .5rem 0 }
.error { border-color: var(--error) }
.error b { color: var(--error) }
.warning { border-color: var(--warning) }
.warning b { color: var(--warning) }
code {
  font: .9em ui-monospace, "DejaVu Sans Mono", monospace; background: var(--empty);
  padding: .05rem .3rem; border-radius: 3px
}
.badge {
  display: inline-block; border: 1px solid currentColor; border-radius: 1rem; padding: 0 .7rem;
  font-weight: 600
}
.yes { color: var(--good) }
.no { color: var(--soft) }
ul { margin: .5rem 0; padding-left: 1.2rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th { white-space: nowrap; text-align: left; color: var(--soft); font-weight: 500 }
td, th { padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.number { text-align: right }
@media (max-width: 40rem) { .row { grid-template-columns: 1fr } .cards { grid-template-columns: 1fr } }
@media print {
  body { background: none }
  section, article { break-inside: avoid }
  .disk, .row svg { print-color-adjust: exact }
}
`
