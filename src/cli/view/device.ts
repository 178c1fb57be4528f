import type { TargetDescription } from '../../operations/device/description.js'
import type { DeviceOutcome } from '../../operations/device/target.js'
import type { ConfirmationQuestion } from '../../operations/device/confirmation.js'
import { shortSize, sizeText, type Renderer } from '../render.js'
import { planLines, type FactRow } from './view.js'

/** `disk /dev/sdb (Samsung SSD 870, serial S6P…, 931.5 GiB)` */
export function deviceTitle({ kind, path, model, serial, backingFile, size }: TargetDescription): string {
  const parts = [model ?? backingFile, serial === undefined ? undefined : `serial ${serial}`, shortSize(size)]
  return `${kind} ${path} (${parts.filter((text) => text !== undefined).join(', ')})`
}

/** Everything by which people know a disk from others, and what is on it now. */
export function deviceFacts(device: TargetDescription): FactRow[] {
  const { vendor, model, serial, bus, backingFile, size, sectorSize, partitions, uses, system } = device
  return [
    [device.kind, device.path],
    ['model', model === undefined ? undefined : [vendor, model].filter((text) => text !== undefined).join(' ')],
    ['serial', serial ?? 'none known'],
    ['attached by', bus],
    ['file behind it', backingFile],
    ['size', sizeText(size)],
    ['sectors', `${sectorSize} bytes`],
    ...(partitions ?? []).map((partition): FactRow => {
      const label = partition.number === 0 ? 'holds' : `partition ${partition.number}`
      return [label, partitionText(partition)]
    }),
    ['holds', partitions?.length === 0 ? 'no partitions, and nothing known' : undefined],
    ...uses.map((use): FactRow => ['in use', use]),
    ...system.map((why): FactRow => ['system disk', why]),
  ]
}

function partitionText({
  length,
  label,
  filesystem,
  filesystemLabel,
}: NonNullable<TargetDescription['partitions']>[number]): string {
  const names = [label, filesystemLabel === label ? undefined : filesystemLabel].filter((text) => text !== undefined)
  return [shortSize(length), filesystem ?? 'nothing known', ...names.map((name) => `"${name}"`)].join(', ')
}

/** The plan of a dry run: guards, steps, bytes. */
export function planText(render: Renderer, { guards, steps, bytes }: DeviceOutcome): string {
  return [
    render.facts([
      ['to write', sizeText(bytes.written)],
      ['of it stored', `${shortSize(bytes.stored)}, the rest is zero`],
      ['left alone', bytes.left > 0 ? `${shortSize(bytes.left)} behind it` : undefined],
    ]),
    ...guardLines(
      render,
      guards.map(({ guard, overridden, message }) => ({
        guard,
        verdict: overridden ? 'overridden' : 'passed',
        message,
      })),
    ),
    ...planLines(render, steps),
  ].join('\n')
}

/** Guards that passed are counted; what was overridden is always named. */
export function guardLines(
  render: Renderer,
  guards: readonly { readonly guard: string; readonly verdict: string; readonly message: string }[],
): string[] {
  const shown = render.verbose ? guards : guards.filter(({ verdict }) => verdict !== 'passed')
  const passed = guards.filter(({ verdict }) => verdict === 'passed').length
  return [
    render.heading('Guards'),
    ...shown.map(({ guard, verdict, message }) => render.plain(`  ${verdict}  ${guard}: ${message}`)),
    ...(render.verbose || passed === 0 ? [] : [render.plain(`  ${passed} passed; --verbose lists them`)]),
  ]
}

/** Lines that a finished write has for people. */
export function outcomeFacts({ bytes, mends, grown, result, verified, seconds }: DeviceOutcome): FactRow[] {
  return [
    ['written', sizeText(bytes.written)],
    [
      'data',
      result === undefined
        ? undefined
        : `${shortSize(result.bytesWritten)} written, ${shortSize(result.bytesZeroed)} made zero`,
    ],
    ...mends.map(({ message }): FactRow => ['table', message]),
    ['enlarged', grown === undefined ? undefined : grownText(grown)],
    ['left alone', bytes.left > 0 ? `${shortSize(bytes.left)} behind it, but for the last MiB` : undefined],
    ['time', `${seconds.toFixed(1)} s`],
    ['verified', verified ? 'everything was read back from the medium, past the page cache, and compared' : 'no'],
    ['ejected', result?.ejected === true ? 'yes' : undefined],
  ]
}

function grownText({ partition, before, after, content, filesystem }: NonNullable<DeviceOutcome['grown']>): string {
  const what = partition === undefined ? 'the content' : `partition ${partition}`
  const inside = content === 'done' ? `, with its ${filesystem ?? 'content'}` : ''
  return `${what}, from ${shortSize(before)} to ${shortSize(after)}${inside}`
}

/** Old and new ids, and what may still refer to the old ones. */
export async function idsText(
  render: Renderer,
  { ids, mayRefer }: Pick<DeviceOutcome, 'ids' | 'mayRefer'>,
): Promise<string> {
  const rows = ids.map(({ partition, label, before, after }) => [
    partition === undefined ? '  the disk' : `  partition ${partition}${label === undefined ? '' : ` (${label})`}`,
    before,
    after,
  ])
  return [
    await render.table(['  of', 'old id', 'new id'], rows),
    render.heading('May refer to the old ids'),
    ...mayRefer.map((line) => render.plain(`  ${line}`)),
  ].join('\n')
}

/** What a person is shown and asked before a disk is overwritten. */
export function questionText(
  render: Renderer,
  { source, target, origin, overridden, notes, expected, what }: ConfirmationQuestion,
  action: string,
): string {
  return [
    render.heading(`${action}: everything on this ${target.kind} will be lost`),
    render.facts([
      ['source (only read)', sourceTitle(source)],
      ['target (overwritten)', `${target.kind} ${target.path}`],
      ...deviceFacts(target).slice(1),
      ['origin', origin],
      ...overridden.map((reason): FactRow => ['overridden', reason]),
    ]),
    ...notes.map(({ message }) => render.warning(`Warning: ${message}`)),
    render.warning(
      what === 'name'
        ? `Type the name ${expected} to go on: `
        : `The running system needs this disk. Type its ${what} to go on: `,
    ),
  ].join('\n')
}

/** What is read, so that it is not taken for the target. */
function sourceTitle({ kind, name, size, device }: ConfirmationQuestion['source']): string {
  if (device !== undefined) return deviceTitle(device)
  return `${name} (${kind === 'disk' ? 'the whole disk' : 'one partition'}, ${shortSize(size)})`
}
