import { parsePlist, type PlistValue } from '../binary/plist.js'

/** What macOS attached: the whole disk first. */
export interface HdiutilEntity {
  /** `/dev/disk4`, `/dev/disk4s1`. */
  readonly device: string
  /** What the partition table says it is: `GUID_partition_scheme`, `Apple_HFS`. */
  readonly content: string
  readonly mountPoint?: string
}

/**
 * The parameters of hdiutil that attach a raw image without mounting it. Written from its manual page, never run.
 * @param shadow a file that takes the changes; the image is then only read.
 */
export function hdiutilAttach(
  image: string,
  { readOnly, shadow }: { readonly readOnly: boolean; readonly shadow?: string },
): readonly string[] {
  return [
    'attach',
    '-plist',
    '-nomount',
    '-imagekey',
    'diskimage-class=CRawDiskImage',
    ...(shadow === undefined ? (readOnly ? ['-readonly'] : []) : ['-shadow', shadow]),
    image,
  ]
}

/** The parameters that detach a disk. */
export function hdiutilDetach(device: string, force: boolean): readonly string[] {
  return ['detach', ...(force ? ['-force'] : []), device]
}

/** What `hdiutil attach -plist` answers; empty when it attached nothing that is understood. */
export function parseHdiutil(text: string): readonly HdiutilEntity[] {
  const entities = member(plistOf(text), 'system-entities')
  if (!Array.isArray(entities)) return []
  return (entities as readonly PlistValue[])
    .flatMap((entity): HdiutilEntity[] => {
      const device = member(entity, 'dev-entry')
      const content = member(entity, 'content-hint')
      const mountPoint = member(entity, 'mount-point')
      if (typeof device !== 'string' || !/^\/dev\/disk\d+(s\d+)*$/.test(device)) return []
      return [
        {
          device,
          content: typeof content === 'string' ? content : '',
          ...(typeof mountPoint === 'string' ? { mountPoint } : {}),
        },
      ]
    })
    .sort((one, other) => one.device.length - other.device.length || (one.device < other.device ? -1 : 1))
}

function member(value: PlistValue | undefined, name: string): PlistValue | undefined {
  return typeof value === 'object' && !Array.isArray(value) && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, PlistValue>>)[name]
    : undefined
}

/** Undefined for what is no property list: a message of failure. */
function plistOf(text: string): PlistValue | undefined {
  try {
    return parsePlist(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
