import fs from '../../sys/host-fs.js'
import { deviceNumberText } from '../../binary/device-number.js'
import type { Note } from '../../block/types.js'
import { hasWriter } from '../../device/file-lookup.js'
import { mountOf, parseMounts, type Mount } from '../../device/mounts.js'
import { attribute, attributePath } from '../../device/sysfs.js'
import { printable, type HostPath } from '../../errors.js'
import type { ImageFile } from '../../formats/opened.js'
import { syscalls } from '../../sys/syscalls.js'
import { namesInFolder, textOfFile } from '../../sys/readable.js'

// Every command that reads loads this: who holds bytes in all other ways is asked by commands that write (guard.ts).

/**
 * Looks whether another program writes to files that are read: it says so by QEMU's locks, or has mounted the file
 * through a loop device. The devices of the system are listed once, when the first file is opened.
 */
export function watchWriters(): (file: ImageFile, descriptor: number) => readonly Note[] {
  let loops: readonly AttachedLoop[] | undefined
  return ({ path, device, inode }, descriptor) => {
    if (hasWriter(descriptor)) return [torn(path, 'another program has it open for writing')]
    loops ??= attachedLoops()
    const point = loops
      .filter((loop) => mayLieOn(loop.mount, device) && loop.isOver(device, inode))
      .flatMap(({ name }) => writtenAt(name))[0]
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

interface AttachedLoop {
  readonly name: string
  /** What the path of its file lies in. */
  readonly mount: Mount | undefined
  isOver(device: bigint, inode: bigint): boolean
}

/** The loop devices that are attached to files, found by their paths: no device is opened for it. */
function attachedLoops(): readonly AttachedLoop[] {
  const attached = namesInFolder('/sys/block').flatMap((name) => {
    const path = name.startsWith('loop') ? attributePath(`/sys/block/${name}`, 'loop/backing_file') : undefined
    return path === undefined ? [] : [{ name, path }]
  })
  const mounts = attached.length === 0 ? [] : parseMounts(textOfFile('/proc/self/mountinfo') ?? '')
  return attached.map(({ name, path }) => {
    let stat: ReturnType<typeof identity> | 'not asked' = 'not asked'
    return {
      name,
      mount: mountOf(path, mounts),
      isOver(device, inode) {
        if (stat === 'not asked') stat = identity(path)
        return stat?.dev === device && stat.ino === inode
      },
    }
  })
}

/** Filesystems behind a program or a network: who asks about a file waits for as long as those take. */
const remoteFilesystems = /^(fuse|nfs|cifs|smb|9p|afs|ceph|glusterfs|lustre|ncpfs|virtiofs)/

/**
 * Whether a file of the filesystem with this device number may lie under a mount. A server that hangs is not waited for
 * because of a file that lies elsewhere.
 */
export function mayLieOn(mount: Mount | undefined, device: bigint): boolean {
  return (
    mount === undefined || !remoteFilesystems.test(mount.filesystem) || mount.deviceNumber === deviceNumberText(device)
  )
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
  const parts = namesInFolder(folder).filter((name) => name.startsWith(loop))
  const numbers = [folder, ...parts.map((name) => `${folder}/${name}`)].map((each) => attribute(each, 'dev'))
  return parseMounts(textOfFile('/proc/self/mountinfo') ?? '')
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
