import type { BlockSource, ByteStore } from '../../block/types.js'
import { HostHoles, longestRun } from '../../engine/index.js'
import type { DeviceContent } from './content.js'
import { edgeLength } from './writing.js'
import type { TargetDescription } from './description.js'
import type { GuardPass } from './guards.js'

/** One thing that is done, in order. */
export interface PlanStep {
  readonly name:
    'unmount' | 'set-writable' | 'open' | 'clear' | 'write' | 'verify' | 'finish' | 'reread' | 'grow' | 'eject'
  /** In the present, for people. */
  readonly message: string
}

interface Wanted {
  readonly verify?: boolean
  readonly eject?: boolean
}

/** What will be done with a target that passed its guards. */
export function planSteps(
  target: TargetDescription,
  content: DeviceContent,
  guards: readonly GuardPass[],
  { verify, eject }: Wanted,
): PlanStep[] {
  const overridden = (name: GuardPass['guard']): GuardPass | undefined =>
    guards.find(({ guard, overridden }) => guard === name && overridden)
  const { path, size } = target
  const edge = Math.min(edgeLength, size)
  const mounted = overridden('mounted')
  const { grown, end, mends, ids, cut } = content
  const head = [
    ...mends.map(({ message }) => message),
    ...(ids.length === 0 || mends.some(({ code }) => code === 'NEW_IDS') ? [] : ['give new ids']),
  ]
  return [
    ...(overridden('read-only') === undefined
      ? []
      : [{ name: 'set-writable', message: `take away the system's mark that ${path} is read-only` } as const]),
    ...(mounted === undefined ? [] : [{ name: 'unmount', message: `unmount: ${mounted.message}` } as const]),
    { name: 'open', message: `open ${path} for this alone, and make sure that it is still the same` },
    {
      name: 'clear',
      message: `clear its first and last ${edge} bytes, so that nothing is found on it before all is done`,
    },
    {
      name: 'write',
      message:
        `write bytes ${edge} to ${end} past the page cache, zeros by the device where it ` +
        `can${cut === undefined ? '' : `; the source's last ${cut.length} bytes are left out`}`,
    },
    ...(verify === false
      ? []
      : [{ name: 'verify', message: 'read back everything from the medium, and compare' } as const]),
    {
      name: 'finish',
      message:
        `write the last ${edge} bytes, then the ` +
        `first${head.length === 0 ? '' : `, and there: ${head.join('; ')}`}`,
    },
    ...(target.kind === 'disk'
      ? [{ name: 'reread', message: 'let the system read the partition table' } as const]
      : []),
    ...(grown === undefined
      ? []
      : [
          {
            name: 'grow',
            message:
              `enlarge ${grown.partition === undefined ? 'the content' : `partition ${grown.partition}`} ` +
              (`from ${grown.before} to ${grown.after} ` +
                `bytes${grown.content === 'later' ? `, and its ${grown.filesystem ?? 'filesystem'} ` + 'with resize2fs' : grown.content === 'done' ? ', and the head of its ' + (grown.filesystem ?? 'content') : ''}`),
          } as const,
        ]),
    ...(eject === true ? [{ name: 'eject', message: `eject ${path}` } as const] : []),
  ]
}

/** Bytes of a disk up to an offset that are stored somewhere: what is neither hole nor known zero. */
export function storedBytes(source: BlockSource, end: number): number {
  const holes = new Map<ByteStore, HostHoles>()
  let stored = 0
  for (let offset = 0; offset < end;) {
    const extent = source.extentAt(offset, Math.min(longestRun, end - offset))
    let { length } = extent
    if (extent.kind === 'data') {
      let known = holes.get(extent.store)
      if (known === undefined) holes.set(extent.store, (known = new HostHoles(extent.store)))
      const run = known.runAt(extent.position, length)
      ;({ length } = run)
      if (!run.hole) stored += length
    } else if (extent.kind === 'packed') stored += length
    offset += length
  }
  return stored
}
