import fs from '../../sys/host-fs.js'
import type { Note } from '../../block/types.js'
import { hasWriter } from '../../device/file-lookup.js'
import { parseMounts } from '../../device/mounts.js'
import { procText } from '../../device/place.js'
import { attribute, attributePath, listing } from '../../device/sysfs.js'
import { printable, type HostPath } from '../../errors.js'
import type { ImageFile } from '../../formats/opened.js'
import { syscalls } from '../../sys/syscalls.js'

// Every command that reads loads this: who holds bytes in all other ways is asked by commands that write (guard.ts).

/**
 * Looks whether another program writes to files that are read: it says so by QEMU's locks, or has mounted the file
 * through a loop device. The devices of the system are listed once, when the first file is opened.
 */
export function watchWriters(): (file: ImageFile, descriptor: number) => readonly Note[] {
  let loops: ReadonlyMap<string, readonly string[]> | undefined
  return ({ path, device, inode }, descriptor) => {
    if (hasWriter(descriptor)) return [torn(path, 'another program has it open for writing')]
    loops ??= attachedLoops()
    const point = (loops.get(fileKey(device, inode)) ?? []).flatMap(writtenAt)[0]
    return point === undefined ? [] : [torn(path, `a filesystem in it is mounted for writing at ${printable(point)}`)]
  }
}

function torn(path: string, why: string): Note {
  return {
    code: 'W_IN_USE',
    message:
      `${printable(path)} may change while it is read: ${why}. What is read may be partly old and partly new ` +
      '(--allow-in-use silences this)',
  }
}

function fileKey(device: bigint, inode: bigint): string {
  return `${device}/${inode}`
}

/** The loop devices over each file, found by their paths: a look for which no device is opened. */
function attachedLoops(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const name of listing('/sys/block')) {
    const path = name.startsWith('loop') ? attributePath(`/sys/block/${name}`, 'loop/backing_file') : undefined
    const stat = path === undefined ? undefined : identity(path)
    if (stat === undefined) continue
    const key = fileKey(stat.dev, stat.ino)
    found.set(key, [...(found.get(key) ?? []), name])
  }
  return found
}

function identity(path: HostPath): { readonly dev: bigint; readonly ino: bigint } | undefined {
  try {
    return fs.statSync(path, { bigint: true })
  } catch {
    // Gone, a path of another system, or not for our eyes.
    return undefined
  }
}

/** Where a filesystem on a loop device, or on a partition of it, is mounted for writing. */
function writtenAt(loop: string): string[] {
  const folder = `/sys/block/${loop}`
  const parts = listing(folder).filter((name) => name.startsWith(loop))
  const numbers = [folder, ...parts.map((name) => `${folder}/${name}`)].map((each) => attribute(each, 'dev'))
  return parseMounts(procText('/proc/self/mountinfo'))
    .filter(({ deviceNumber, readOnly }) => !readOnly && numbers.includes(deviceNumber))
    .map(({ point }) => point)
}

/**
 * Keeps others from changing files for as long as they are shown to somebody, as QEMU does for what it reads. A file
 * that is being written already stays as it is: the user was warned.
 */
export function holdForReading(files: readonly ImageFile[]): Disposable {
  const system = syscalls()
  const held: number[] = []
  if (system !== undefined) {
    for (const { path, device, inode } of files) {
      let descriptor: number
      try {
        descriptor = fs.openSync(path, fs.constants.O_RDONLY + fs.constants.O_NONBLOCK)
      } catch {
        // Renamed or removed since it was opened: nobody finds it to change it.
        continue
      }
      held.push(descriptor)
      const { dev, ino } = fs.fstatSync(descriptor, { bigint: true })
      if (dev === device && ino === inode) system.lockForReading(descriptor)
    }
  }
  return {
    [Symbol.dispose]: () => {
      for (const descriptor of held.splice(0)) fs.closeSync(descriptor)
    },
  }
}
