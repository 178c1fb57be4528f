import fs from '../../sys/host-fs.js'
import { deviceNumberText } from '../../binary/device-number.js'
import type { ByteStore, Note } from '../../block/types.js'
import type { Disk, DiskPlatform, DiskPartition } from '../../device/types.js'
import { command, type CommandResult } from '../../sys/commands.js'
import { syscalls } from '../../sys/syscalls.js'
import type { GrownPartition } from './growth.js'

/** Whether the system has read the new table: `none`: it shows no partitions of this device anyway. */
export type Reread = 'done' | 'failed' | 'none'

/** Lets the system forget the partitions of a disk whose table was cleared. True when it has none of them left. */
export function forgetPartitions(store: ByteStore): boolean {
  return store.fd !== undefined && syscalls()?.rereadPartitions(store.fd) === true
}

/** Lets the system read the partition table of a disk that was written, when nobody has it open any more. */
export async function rereadTable(
  disk: Disk,
  platform: DiskPlatform,
  expected: number,
  notes: Note[],
): Promise<Reread> {
  if (disk.kind === 'loop' && !scansPartitions(disk)) return 'none'
  const asked = rereadNow(disk.path)
  const shown = (): number => platform.find(disk.path).disk.partitions.length
  if (asked && shown() >= Math.min(expected, 1)) return 'done'
  // Kernels without the kind of table still take partitions that are told to them.
  const told = await command('partx', ['--update', disk.path])
  if (told.code === 0 || (asked && expected === 0)) return 'done'
  notes.push({
    code: 'W_TABLE_NOT_REREAD',
    message:
      `the system still goes by the old partition table of ${disk.path} (${firstLine(told)}): detach and ` +
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
  try {
    return fs.readFileSync(`/sys/block/${disk.name}/loop/partscan`, 'utf8').trim() === '1'
  } catch {
    // An older kernel: asking costs nothing.
    return true
  }
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
export async function growFilesystem(
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
export async function ejectDisk(disk: Disk, notes: Note[]): Promise<boolean> {
  const done = await command('eject', [disk.path])
  if (done.code === 0) return true
  notes.push({
    code: 'W_NOT_EJECTED',
    message: `${disk.path} was not ejected: ${firstLine(done)}. All is written: it may be taken away`,
  })
  return false
}
