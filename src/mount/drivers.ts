import fs from '../sys/host-fs.js'
import { command } from '../sys/commands.js'

/** How a filesystem's type (blkid's names) is mounted. */
export interface FilesystemDriver {
  /** `kernel`, or the program's name. */
  readonly name: string
  /** The kernel's name of the type; absent for programs. */
  readonly kernelType?: string
  /** Whether what it writes can be relied on. */
  readonly writes: boolean
  /** What the user should know of it. */
  readonly caution?: string
  /** The same for what it writes. */
  readonly writingCaution?: string
  /** The program's parameters; absent for the kernel. */
  parameters?(file: string, point: string, options: readonly string[]): readonly string[]
}

/** The kernel's names, where they are not blkid's. */
const kernelTypes: Readonly<Record<string, string>> = { ntfs: 'ntfs3' }

/** Programs that mount a filesystem from a file, without a block device. */
const programs: Readonly<Record<string, readonly FilesystemDriver[]>> = {
  ntfs: [
    { name: 'ntfs-3g', writes: true, parameters: (file, point, options) => ['-o', options.join(','), file, point] },
  ],
  vfat: [
    {
      name: 'fusefat',
      writes: false,
      caution: 'fusefat shows short names in upper case, and wrong dates; "vdisk cp" reads both right',
      parameters: (file, point, options) => ['-o', options.join(','), file, point],
    },
  ],
  exfat: [
    {
      name: 'mount.exfat-fuse',
      writes: true,
      parameters: (file, point, options) => ['-o', options.join(','), file, point],
    },
  ],
}
const ext: FilesystemDriver = {
  name: 'fuse2fs',
  writes: true,
  writingCaution: 'fuse2fs writes without the journal: unmount it properly',
  parameters: (file, point, options) => [file, point, '-o', [...options, 'fakeroot'].join(',')],
}

/** What the running kernel can mount, in its own names. */
export function kernelFilesystems(text = fs.readFileSync('/proc/filesystems', 'utf8')): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const [flag, type] = line.split('\t')
    return flag === '' && type !== undefined && type !== '' ? [type] : []
  })
}

/** What mounts a type here, best first; empty: nothing does. Without `asRoot` only programs are of use. */
export async function driversFor(type: string, asRoot: boolean): Promise<readonly FilesystemDriver[]> {
  const helpers = /^ext[234]$/.test(type) ? [ext] : (programs[type] ?? [])
  return asRoot ? [...(await kernelDriver(kernelTypes[type] ?? type)), ...helpers] : helpers
}

async function kernelDriver(kernelType: string): Promise<readonly FilesystemDriver[]> {
  const known =
    kernelFilesystems().includes(kernelType) ||
    (await command('modprobe', ['--dry-run', '--quiet', `fs-${kernelType}`])).code === 0
  return known ? [{ name: 'kernel', kernelType, writes: true }] : []
}
