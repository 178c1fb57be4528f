import { printable, unsupported, usage, type HostPath, type ImageError } from '../errors.js'
import fs from '../sys/host-fs.js'
import { extensionOf, inFolder, lastPart } from '../sys/host-path.js'

interface FolderKind {
  readonly title: string
  /** One disk as a whole: none of its files is one. */
  readonly isDisk?: boolean
  readonly hint?: string
  /** @param names of what is in it. @param name its own, as the path gives it. */
  readonly is: (names: ReadonlySet<string>, name: string) => boolean
}

/** Folders that are a virtual disk, or a machine with its disks, by what is in them. */
const kinds: readonly FolderKind[] = [
  {
    title: 'a Parallels disk (a folder: its DiskDescriptor.xml names the files of the disk)',
    isDisk: true,
    hint: 'It is only read: vdisk convert FOLDER disk.qcow2 makes an image that can be changed.',
    is: (names) => names.has('DiskDescriptor.xml'),
  },
  {
    title: 'an Apple sparse bundle (a folder of bands)',
    isDisk: true,
    hint: 'It is only read: vdisk convert FOLDER disk.qcow2 makes an image that can be changed.',
    is: (names) => names.has('Info.plist') && names.has('bands'),
  },
  {
    title: 'a virtual machine of Parallels',
    is: (names) => names.has('config.pvs') || ends(names, '.hdd'),
  },
  {
    title: 'a folder of Windows Image Backup',
    isDisk: true,
    hint: 'Name the folder of one backup in it: Backup YYYY-MM-DD HHMMSS',
    is: (names, name) =>
      name === 'WindowsImageBackup' || [...names].some((inner) => /^Backup \d{4}-\d\d-\d\d \d{6}$/.test(inner)),
  },
  {
    title: 'a repository of restic',
    isDisk: true,
    hint: 'restic mount FOLDER shows its snapshots as files; name the image in one.',
    is: (names) => ['config', 'data', 'index', 'keys', 'snapshots'].every((name) => names.has(name)),
  },
  {
    title: 'a repository of Borg',
    isDisk: true,
    hint: 'borg mount REPOSITORY FOLDER shows its archives as files; name the image in one.',
    is: (names) =>
      names.has('config') &&
      names.has('data') &&
      [...names].some((name) => /^(?:hints|index|integrity)\.\d+$/.test(name)),
  },
  {
    title: 'a repository of Kopia',
    isDisk: true,
    hint: 'kopia mount all FOLDER shows its snapshots as files; name the image in one.',
    is: (names) => names.has('kopia.repository.f') || names.has('kopia.repository'),
  },
  {
    title: 'a backup of Time Machine',
    isDisk: true,
    hint: 'It holds files, not a disk: restore them with macOS (tmutil restore).',
    is: (names) =>
      names.has('Backups.backupdb') ||
      names.has('com.apple.TimeMachine.MachineID.plist') ||
      ends(names, '.backupbundle'),
  },
  {
    title: 'a datastore of Proxmox Backup Server',
    isDisk: true,
    hint: 'Name the index of a disk in it: DATASTORE/vm/100/TIME/drive-scsi0.img.fidx',
    is: (names) => names.has('.chunks'),
  },
  {
    title: 'a backup of Proxmox Backup Server',
    isDisk: true,
    hint: 'It holds several disks, or none: name the index of one (drive-scsi0.img.fidx).',
    is: (names) => names.has('index.json.blob'),
  },
  { title: 'a virtual machine of VMware', is: (names) => ends(names, '.vmx') },
  { title: 'a virtual machine of VirtualBox', is: (names) => ends(names, '.vbox') },
  { title: 'a virtual machine of UTM', is: (names) => names.has('config.plist') && names.has('Data') },
  { title: 'a virtual machine of Hyper-V', is: (names) => names.has('Virtual Hard Disks') || ends(names, '.vmcx') },
]

/** How disks that can be read are named. */
const diskEnds = ['.vhdx', '.avhdx', '.vhd', '.vmdk', '.vdi', '.hdd', '.qcow2', '.raw', '.img']

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
  const kind = kinds.find(({ is }) => is(new Set(names), lastPart(path)))
  const disk = names.find((name) => diskEnds.includes(extensionOf(name).toLowerCase()))
  const inside = disk === undefined ? undefined : `Name the disk in it: ${printable(inFolder(path, disk))}`
  if (kind !== undefined)
    return unsupported('E_UNSUPPORTED_FORMAT', `${shown} is ${kind.title}, ${reason(kind)}`, {
      hint: kind.hint ?? (kind.isDisk === true ? undefined : inside),
      details: { format: kind.title },
    })
  return usage('E_NOT_A_FILE', `${shown} is a directory, not a disk image`, { hint: inside })
}

/** A disk that is a folder is opened elsewhere (formats/open.ts), where it can be. */
function reason({ isDisk = false }: FolderKind): string {
  return isDisk ? 'which cannot be used in this way' : 'which cannot be read as a whole'
}

function ends(names: ReadonlySet<string>, ending: string): boolean {
  return [...names].some((name) => name.toLowerCase().endsWith(ending))
}
