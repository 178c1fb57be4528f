import { printable, unsupported, usage, type HostPath, type ImageError } from '../errors.js'
import fs from '../sys/host-fs.js'
import { extensionOf, inFolder } from '../sys/host-path.js'

interface FolderKind {
  readonly title: string
  /** One disk as a whole: none of its files is one. */
  readonly isDisk?: boolean
  readonly hint?: string
  readonly is: (names: ReadonlySet<string>) => boolean
}

/** Folders that are a virtual disk, or a machine with its disks, by what is in them. */
const kinds: readonly FolderKind[] = [
  {
    title: 'a Parallels disk (a folder: its DiskDescriptor.xml names the files of the disk)',
    isDisk: true,
    is: (names) => names.has('DiskDescriptor.xml'),
  },
  {
    title: 'an Apple sparse bundle (a folder of bands)',
    isDisk: true,
    hint: 'On macOS, hdiutil convert makes a single file of it.',
    is: (names) => names.has('Info.plist') && names.has('bands'),
  },
  {
    title: 'a virtual machine of Parallels',
    is: (names) => names.has('config.pvs') || ends(names, '.hdd'),
  },
  { title: 'a virtual machine of VMware', is: (names) => ends(names, '.vmx') },
  { title: 'a virtual machine of VirtualBox', is: (names) => ends(names, '.vbox') },
  { title: 'a virtual machine of UTM', is: (names) => names.has('config.plist') && names.has('Data') },
  { title: 'a virtual machine of Hyper-V', is: (names) => names.has('Virtual Hard Disks') || ends(names, '.vmcx') },
]

/** How disks that can be read are named. */
const diskEnds = ['.vhdx', '.avhdx', '.vhd', '.qcow2', '.raw', '.img']

/** Why a folder is not opened: named for what it is. */
export function folderError(path: HostPath): ImageError {
  const shown = printable(path)
  let names: readonly string[]
  try {
    names = fs.readdirSync(path)
  } catch {
    // Without the permission to list it, it is a folder.
    names = []
  }
  const kind = kinds.find(({ is }) => is(new Set(names)))
  const disk = names.find((name) => diskEnds.includes(extensionOf(name).toLowerCase()))
  const inside = disk === undefined ? undefined : `Name the disk in it: ${printable(inFolder(path, disk))}`
  if (kind !== undefined)
    return unsupported('E_UNSUPPORTED_FORMAT', `${shown} is ${kind.title}, which vdisk cannot read as a whole`, {
      hint: kind.hint ?? (kind.isDisk === true ? undefined : inside),
      details: { format: kind.title },
    })
  return usage('E_NOT_A_FILE', `${shown} is a directory, not a disk image`, { hint: inside })
}

function ends(names: ReadonlySet<string>, ending: string): boolean {
  return [...names].some((name) => name.toLowerCase().endsWith(ending))
}
