import fs from '../../sys/host-fs.js'
import { deviceNumberText } from '../../binary/device-number.js'
import type { ByteStore, Note } from '../../block/types.js'
import type { Disk, DiskPlatform, DiskPartition } from '../../device/types.js'
import { command, type CommandResult } from '../../sys/commands.js'
import { syscalls } from '../../sys/syscalls.js'
import { textOfFile } from '../../sys/readable.js'
import type { Step } from '../transfer/step.js'
import type { DeviceTarget } from './argument.js'
import type { DeviceContent } from './content.js'
import { nameOf, type GrownPartition } from './growth.js'

/** Whether the system has read the new table: `none`: it shows no partitions of this device anyway. */
export type Reread = 'done' | 'failed' | 'none'

export type FinishingStepName = 'reread' | 'grow' | 'eject'

/** What follows when a target is written and closed, and what came of it. */
export class TargetFinish {
  reread: Reread = 'none'
  ejected = false
  grown: GrownPartition | undefined
  readonly notes: Note[] = []
  readonly #target: DeviceTarget
  readonly #content: Pick<DeviceContent, 'table'>
  readonly #options: { readonly platform: DiskPlatform; readonly eject: boolean }

  constructor(
    target: DeviceTarget,
    content: Pick<DeviceContent, 'table' | 'grown'>,
    options: { readonly platform: DiskPlatform; readonly eject: boolean },
  ) {
    this.#target = target
    this.#content = content
    this.#options = options
    this.grown = content.grown
  }

  /** What is done, in order. */
  get steps(): Step<FinishingStepName>[] {
    const { disk, partition, node } = this.#target
    const { eject, platform } = this.#options
    const { grown } = this
    const steps: Step<FinishingStepName>[] = []
    if (partition === undefined)
      steps.push({
        name: 'reread',
        message: 'let the system read the partition table',
        run: async () => {
          this.reread = await rereadTable(disk, platform, this.#content.table.partitions.length, this.notes)
        },
      })
    if (grown?.content === 'later')
      steps.push({
        name: 'grow',
        message: `enlarge the ${grown.filesystem ?? 'filesystem'} of ${nameOf(grown)} with resize2fs`,
        run: async () => {
          const done = await growFilesystem(this.#target, grown, platform, this.notes)
          this.grown = { ...grown, content: done ? 'done' : 'kept' }
        },
      })
    if (eject)
      steps.push({
        name: 'eject',
        message: `eject ${node}`,
        run: async () => {
          this.ejected = await ejectDisk(disk, this.notes)
        },
      })
    return steps
  }
}

/** Lets the system forget the partitions of a disk whose table was cleared. True when it has none of them left. */
export function forgetPartitions(store: ByteStore): boolean {
  return store.fd !== undefined && syscalls()?.rereadPartitions(store.fd) === true
}

/** Lets the system read the partition table of a disk that was written, when nobody has it open any more. */
async function rereadTable(disk: Disk, platform: DiskPlatform, expected: number, notes: Note[]): Promise<Reread> {
  if (disk.kind === 'loop' && !scansPartitions(disk)) return 'none'
  const asked = rereadNow(disk.path)
  const shown = (): number => platform.find(disk.path).disk.partitions.length
  if (asked && shown() >= Math.min(expected, 1)) return 'done'
  // Kernels without the kind of table still take partitions that are added one by one.
  const result = await command('partx', ['--update', disk.path])
  if (result.code === 0 || (asked && expected === 0)) return 'done'
  notes.push({
    code: 'W_TABLE_NOT_REREAD',
    message:
      `the system still goes by the old partition table of ${disk.path} (${firstLine(result)}): detach and ` +
      'attach the disk, or run partprobe',
  })
  return 'failed'
}

function rereadNow(path: string): boolean {
  let descriptor: number
  try {
    descriptor = fs.openSync(path, 'r')
  } catch {
    // Gone, or taken by somebody: the caller goes on with the next way.
    return false
  }
  try {
    return syscalls()?.rereadPartitions(descriptor) === true
  } finally {
    fs.closeSync(descriptor)
  }
}

function scansPartitions(disk: Disk): boolean {
  // An older kernel does not say: asking costs nothing.
  return (textOfFile(`/sys/block/${disk.name}/loop/partscan`) ?? '1').trim() === '1'
}

function firstLine({ stderr, stdout, code }: CommandResult): string {
  return (
    [...stderr.split('\n'), ...stdout.split('\n')].find((line) => line.trim() !== '')?.trim() ??
    `exit code ${code ?? 'of a signal'}`
  )
}

/**
 * Enlarges the ext filesystem of a grown partition with the system's own tools.
 * @returns whether it was done; a note says why not.
 */
async function growFilesystem(
  target: { readonly disk: Disk; readonly partition?: DiskPartition },
  grown: GrownPartition,
  platform: DiskPlatform,
  notes: Note[],
): Promise<boolean> {
  const name =
    grown.partition === undefined
      ? (target.partition?.path ?? target.disk.path)
      : `partition ${grown.partition} of ${target.disk.path}`
  const failed = (why: string): false => {
    notes.push({
      code: 'W_FS_NOT_GROWN',
      message:
        `the ${grown.filesystem ?? 'filesystem'} in ${name} keeps its size: ${why}. resize2fs enlarges ` +
        'it, also while it is mounted',
    })
    return false
  }
  const node = await volumeNode(target, grown, platform)
  if (node === undefined) return failed('the system gives no device for it')
  try {
    const checked = await command('e2fsck', ['-f', '-p', node.path])
    if (checked.code === undefined) return failed('e2fsck is not installed')
    // 1: errors were corrected; a journal that was replayed is one.
    if (checked.code !== 0 && checked.code !== 1) return failed(`e2fsck says: ${firstLine(checked)}`)
    const resized = await command('resize2fs', [node.path])
    if (resized.code === undefined) return failed('resize2fs is not installed')
    return resized.code === 0 || failed(`resize2fs says: ${firstLine(resized)}`)
  } finally {
    if (node.temporary) await command('losetup', ['--detach', node.path])
  }
}

/** A device for a part of the disk: the system's own, or a loop device over it. */
async function volumeNode(
  { disk, partition }: { readonly disk: Disk; readonly partition?: DiskPartition },
  { partition: number, start, after }: GrownPartition,
  platform: DiskPlatform,
): Promise<{ readonly path: string; readonly temporary: boolean } | undefined> {
  if (number === undefined) return { path: partition?.path ?? disk.path, temporary: false }
  const own = platform
    .find(disk.path)
    .disk.partitions.find((each) => each.number === number && each.start === start && each.size === after)
  if (own !== undefined && isNodeOf(own)) return { path: own.path, temporary: false }
  const made = await command('losetup', [
    '--find',
    '--show',
    '--offset',
    String(start),
    '--sizelimit',
    String(after),
    '--sector-size',
    String(disk.logicalSectorSize),
    disk.path,
  ])
  return made.code === 0 ? { path: made.stdout.trim(), temporary: true } : undefined
}

/** Whether the device's usual name is there, and is its. */
function isNodeOf({ path, deviceNumber }: DiskPartition): boolean {
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat?.isBlockDevice() === true && deviceNumberText(stat.rdev) === deviceNumber
}

/** Lets the disk out, so that it can be taken away. */
async function ejectDisk(disk: Disk, notes: Note[]): Promise<boolean> {
  const done = await command('eject', [disk.path])
  if (done.code === 0) return true
  notes.push({
    code: 'W_NOT_EJECTED',
    message: `${disk.path} was not ejected: ${firstLine(done)}. All is written: it may be taken away`,
  })
  return false
}
