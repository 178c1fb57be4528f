import { namesInFolder } from '../sys/readable.js'
import type { FileLookup } from './file-lookup.js'
import type { Mount } from './mounts.js'
import { attribute, type Sysfs } from './sysfs.js'

/** What the devices of a mount are found by. */
interface MountedView {
  readonly sysfs: Sysfs
  readonly files: Pick<FileLookup, 'identify'>
}

/**
 * The devices of a mounted filesystem, by number: more than one of btrfs and bcachefs, and the devices of its own that
 * a journal (ext4, XFS) or a real-time section (XFS) has.
 */
export function devicesOf({ deviceNumber, filesystem, source, superOptions }: Mount, view: MountedView): string[] {
  const { files } = view
  const node = (path: string): readonly string[] => [files.identify(path)?.node ?? []].flat()
  const named = superOptions.flatMap((option) => /^(?:logdev|rtdev|journal_path)=(.*)$/.exec(option)?.[1] ?? [])
  const own = deviceNumber.startsWith('0:') ? [] : [deviceNumber]
  if (filesystem === 'btrfs') own.push(...btrfsDevices(source, view))
  else if (filesystem === 'bcachefs') own.push(...source.split(':').flatMap(node))
  else if (own.length === 0 && source.startsWith('/dev/')) own.push(...node(source))
  own.push(...named.flatMap(node))
  return [...new Set(own)]
}

/** A btrfs may span devices; the mount names one. */
function btrfsDevices(source: string, { sysfs, files }: MountedView): string[] {
  const number = files.identify(source)?.node
  const filesystems = `${sysfs.root}/fs/btrfs`
  for (const id of namesInFolder(filesystems)) {
    const folder = `${filesystems}/${id}/devices`
    const devices = namesInFolder(folder).flatMap((name) => attribute(`${folder}/${name}`, 'dev') ?? [])
    if (number !== undefined && devices.includes(number)) return devices
  }
  return number === undefined ? [] : [number]
}
