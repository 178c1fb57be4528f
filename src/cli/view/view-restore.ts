import type { ListedDisk, ListedPartition } from '../../operations/device/disks.js'
import type { InspectResult } from '../../operations/inspect/inspect.js'
import type { PageFrame, RestoreChoice } from '../../operations/view/pages.js'
import type { RestoreJob } from '../../operations/view/restore-job.js'
import { shortSize, sizeText } from '../render.js'
import { deviceFacts, deviceTitle, outcomeFacts } from './device.js'
import { diskTitle } from './disks.js'
import { html, type Markup } from './html.js'
import { partitionName } from './inspect-facts.js'
import { facts, problemText, section, warning } from './page-parts.js'

/** The choice of what is restored, and of what is overwritten. */
export function choice({ root }: PageFrame, { images, disks }: RestoreChoice): Markup {
  const sources = images.map(({ name, disk, problem }, index) =>
    disk === undefined
      ? html`<p>${name}: <span class="soft">${problem?.message ?? ''}</span></p>`
      : html`<p><b>${name}</b></p>${sourceRows(disk, index + 1)}`,
  )
  return html`<form method="post" action="${root}restore/plan">
${section('What is restored', [
  html`<fieldset><legend>The image, or one partition of it</legend>${sources}</fieldset>`,
])}
${section('What is overwritten', [
  html`<p class="soft">Nothing is written before you have seen what would be done, and have typed the target’s
name.</p>
<fieldset><legend>The target: a disk, or one partition of a disk</legend>${disks.disks.map(targetRows)}</fieldset>`,
])}
<p><button>Show what would be done</button></p>
</form>`
}

function sourceRows(disk: InspectResult, number: number): Markup {
  const whole = disk.image.part === undefined ? 'the whole disk' : `the ${disk.image.part}`
  const parts = disk.image.part === undefined ? disk.partitions.filter(({ role }) => role !== 'extended') : []
  const row = (value: string, text: string): Markup =>
    html`<label class="row-choice"><input type="radio" name="source" value="${value}" required> ${text}</label>`
  return html`${[
    row(`${number}@`, `${whole}, ${shortSize(disk.image.capacity)}`),
    ...parts.map((partition) =>
      row(
        `${number}@${partition.number}`,
        `partition ${partition.number} “${partitionName(partition)}”, ${shortSize(partition.length)}`,
      ),
    ),
  ]}`
}

function targetRows(disk: ListedDisk): Markup {
  const { allowed, reasons } = disk.writable
  const parts = disk.partitions.filter(({ device }) => device)
  return html`<div class="target"><label class="row-choice"><input type="radio" name="device" value="${disk.path}"
required${allowed ? '' : html` disabled`}> <b>disk ${disk.path}</b>: ${diskTitle(disk)}</label>
${allowed ? '' : html`<p class="why">Not offered, because ${reasons.join('; ')}.</p>`}
${parts.map((partition) => partitionRow(partition, allowed))}</div>`
}

function partitionRow({ path, size, label, filesystems, uses }: ListedPartition, allowed: boolean): Markup {
  const name = [label, ...filesystems.map(({ title }) => title)].filter((text) => text !== undefined && text !== '')
  return html`<label class="row-choice inner"><input type="radio" name="device" value="${path}"
required${allowed && uses.length === 0 ? '' : html` disabled`}> partition ${path}: ${[shortSize(size), ...name].join(
    ', ',
  )}</label>`
}

/** One restoring, whatever its state. */
export function job({ root }: PageFrame, current: RestoreJob | undefined): Markup[] {
  if (current === undefined)
    return [section('Restore', [html`<p>Nothing is being restored. <a href="${root}restore/">Choose</a></p>`])]
  const { image, device, state } = current
  const both = facts([
    ['source (only read)', image],
    ['target (overwritten)', device],
  ])
  const shown = { planning: writing, asking, writing, done, failed }[state]
  return [section('From and to', [both]), ...shown(current, root)]
}

function asking({ question, plan }: RestoreJob, root: string): Markup[] {
  if (question === undefined || plan === undefined) return []
  const { target, expected, what, origin } = question
  const word = what === 'name' ? `name ${expected}` : what
  return [
    section(`Everything on this ${target.kind} will be lost`, [facts([...deviceFacts(target), ['origin', origin]])]),
    section('What will be done', [
      facts([
        ['to write', sizeText(plan.bytes.written)],
        ['of it stored', `${shortSize(plan.bytes.stored)}, the rest is zero`],
      ]),
      html`<ol>${plan.steps.map(({ message }) => html`<li>${message}</li>`)}</ol>
<details><summary>Guards that were asked: ${plan.guards.length}</summary>
<ul>${plan.guards.map(({ guard, message }) => html`<li>${guard}: ${message}</li>`)}</ul></details>`,
      ...plan.notes.map(({ message }) => warning(message)),
    ]),
    section('Is this the one?', [
      html`<form method="post" action="${root}restore/confirm" autocomplete="off">
<label for="typed">Type the ${word} of the ${target.kind} to overwrite it:</label>
<input id="typed" name="typed" required autocapitalize="off" spellcheck="false">
<button class="danger">Overwrite ${deviceTitle(target)}</button></form>`,
      stopForm(root, 'Do not'),
    ]),
  ]
}

function writing(_current: RestoreJob, root: string): Markup[] {
  return [
    section('Restoring', [
      html`<p><progress id="bar" max="100" aria-labelledby="how-far"></progress></p>
<p id="how-far" role="status">…</p>
<noscript><p>Load this page again to see how far it is.</p></noscript>`,
      stopForm(root, 'Stop'),
    ]),
  ]
}

function done({ result }: RestoreJob, root: string): Markup[] {
  if (result === undefined) return []
  return [
    section(`${result.target.kind === 'disk' ? 'Disk' : 'Partition'} restored`, [
      html`<p><span class="badge yes">done</span> ${deviceTitle(result.target)}</p>`,
      facts(outcomeFacts(result)),
      ...result.notes.map(({ message }) => warning(message)),
      html`<p><a href="${root}restore/">Restore another</a></p>`,
    ]),
  ]
}

function failed({ error }: RestoreJob, root: string): Markup[] {
  if (error === undefined) return []
  return [
    html`<section role="alert"><h2>It was not restored</h2>
${problemText(error)}
<p><a href="${root}restore/">Choose again</a></p></section>`,
  ]
}

function stopForm(root: string, word: string): Markup {
  return html`<form method="post" action="${root}restore/stop"><button>${word}</button></form>`
}
