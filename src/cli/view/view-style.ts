/** What the pages of `vdisk view` need besides the style that they share with the page of inspect. */
export const viewStyle = `
.skip { position: absolute; left: -100rem }
.skip:focus { position: static }
nav ul, .crumbs { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1rem; padding: 0; margin: .6rem 0 0 }
nav a { padding: .25rem 0 }
a { color: var(--stored) }
a[aria-current] { font-weight: 600; color: inherit; text-decoration: none; border-bottom: 2px solid var(--stored) }
:focus-visible { outline: 3px solid var(--stored); outline-offset: 2px }
.crumbs { gap: .3rem }
.crumbs li + li::before { content: "›"; margin-right: .3rem; color: var(--soft) }
caption { text-align: left; padding-bottom: .4rem }
form { margin: .7rem 0 }
fieldset { border: 0; padding: 0; margin: 0 }
legend { color: var(--soft); padding: 0 }
button, select, input:not([type=radio]) {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--soft); border-radius: 6px;
  padding: .4rem .9rem; max-width: 100%
}
button { cursor: pointer }
button.danger { background: var(--error); border-color: var(--error); color: var(--card); font-weight: 600 }
.row-choice { display: block; padding: .3rem 0 }
.inner { padding-left: 1.6rem }
.target { border-top: 1px solid var(--line); padding: .3rem 0 }
.why { color: var(--soft); padding-left: 1.6rem; margin: 0 }
progress { width: 100%; height: 1.2rem; accent-color: var(--stored) }
.waiting:not(:last-child) { display: none }
.chain { list-style: none; padding: 0; margin: 0; max-width: 44rem }
.chain li { border: 1px solid var(--line); border-radius: 8px; padding: .8rem }
.chain li + li { margin-top: 2.2rem; position: relative }
.chain li + li::before { content: "↓"; position: absolute; top: -2rem; left: 50%; color: var(--soft) }
.chain .broken, .chain .missing { border-color: var(--error) }
.timeline { list-style: none; display: flex; flex-wrap: wrap; gap: .8rem 0; padding: 0; margin: 0 0 1rem }
.timeline li { border-top: 3px solid var(--stored); padding: .5rem 1.2rem .2rem 0; position: relative; min-width: 7rem }
.timeline li::before {
  content: ""; position: absolute; top: -.5rem; left: 0; width: .8rem; height: .8rem; border-radius: 50%;
  background: var(--stored)
}
.timeline .now::before { background: var(--good) }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .4rem } }
`
