import type { HostPath } from '../errors.js'
import fs, { hostName } from '../sys/host-fs.js'
import { above, inFolder, lastPart } from '../sys/host-path.js'
import { namesInFolder, textOfFile } from '../sys/readable.js'

/** sysfs counts in these, whatever the device's sector is. Bytes. */
export const sysfsSector = 512

/**
 * /sys as far as block devices go. Every root can be a recorded tree. Attributes that are absent or unreadable are
 * undefined.
 */
export class Sysfs {
  constructor(readonly root: string) {}

  /** Names of whole devices, sorted as people count: sda, sdb … */
  names(): string[] {
    return namesInFolder(`${this.root}/block`).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  }

  /** The real folder of a whole device, which shows how it is attached. */
  folder(name: string): string {
    return fs.realpathSync(`${this.root}/block/${name}`)
  }

  /** The folder of a device number, whole device or partition; undefined when there is none. */
  folderOf(deviceNumber: string): string | undefined {
    const link = `${this.root}/dev/block/${deviceNumber}`
    return fs.existsSync(link) ? fs.realpathSync(link) : undefined
  }

  /** A partition's disk. */
  isPartition(folder: string): boolean {
    return fs.existsSync(inFolder(folder, 'partition'))
  }

  /** The whole device's name of a folder of either. */
  wholeName(folder: string): string {
    return lastPart(this.isPartition(folder) ? above(folder) : folder)
  }
}

/** Trimmed text of an attribute. */
export function attribute(folder: string, name: string): string | undefined {
  const text = textOfFile(inFolder(folder, name))?.replaceAll('\0', '').trim()
  return text === '' ? undefined : text
}

/** An attribute that is a path, without the line end behind it. */
export function attributePath(folder: string, name: string): HostPath | undefined {
  const path = `${folder}/${name}`
  // Most devices have none, and an error of the system takes longer to make than to ask.
  if (!fs.existsSync(path)) return undefined
  try {
    const bytes = fs.readFileSync(path)
    return hostName(bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes)
  } catch {
    // Absent on this kind of device, or not for our eyes.
    return undefined
  }
}

/** A number of an attribute; 0 when there is none. */
export function attributeNumber(folder: string, name: string): number {
  const value = Number(attribute(folder, name) ?? 0)
  return Number.isSafeInteger(value) ? value : 0
}
