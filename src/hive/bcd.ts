import { parseGuid } from '../binary/guid.js'
import { hex32 } from '../binary/hex.js'
import { viewOf } from '../binary/integers.js'
import { guid, struct, u32, u64 } from '../binary/struct.js'
import type { DiskPlace } from './disk-place.js'
import type { Hive } from './hive.js'
import type { HiveKey } from './key.js'
import type { HivePatch } from './patch.js'
import type { HiveValue } from './value.js'

/** Objects of boot stores that have an id of their own. */
const bcdObjects = { bootManager: '9dea862c-5cdd-4e70-acc1-f32b344d4795' } as const

/** Elements of objects (Microsoft's BcdLibraryElementTypes and its likes). */
export const bcdElements = {
  device: 0x11000001,
  path: 0x12000002,
  /** The partition with the system. */
  osDevice: 0x21000001,
  /** Of the boot manager: what starts when nobody chooses. */
  default: 0x23000003,
} as const

const mostObjects = 256

/**
 * A partition as a device element names it: 72 bytes behind the 16 of its options, or further in, where a file of that
 * partition is the device.
 */
const partitionDevice = struct('little', 72, {
  type: u32(0),
  flags: u32(4),
  size: u32(8),
  zero: u32(12),
  /** Of an MBR: where the partition begins, in bytes. */
  start: u64(16),
  partition: guid(16),
  kind: u32(32),
  scheme: u32(36),
  /** Of an MBR: the signature of the disk. */
  signature: u32(40),
  disk: guid(40),
})
const deviceTypes = { boot: 5, partition: 6, locate: 8 } as const
const schemes = { gpt: 0, mbr: 1 } as const
const optionsLength = 16

/** A partition that a device element names. */
export interface StoredPlace {
  /** Where its structure begins in the element. */
  readonly offset: number
  readonly place: DiskPlace
}

/** A device element. */
export interface BcdDevice {
  readonly element: number
  /** `boot`: the partition that the boot manager was started from. `locate`: it is searched for by a file. */
  readonly kind: 'boot' | 'partition' | 'locate' | 'other'
  /** The partitions it names: its own, or that of the file it is. */
  readonly places: readonly StoredPlace[]
  readonly value: HiveValue
}

/** An object of a boot store: the boot manager, an entry of its menu. */
export class BcdObject {
  /** Lower case, without braces. */
  readonly id: string
  readonly #elements: HiveKey | undefined

  constructor(key: HiveKey) {
    this.id = bare(key.name)
    this.#elements = key.subkey('Elements')
  }

  text(element: number): string | undefined {
    return this.#value(element)?.text
  }

  /** The object that an element names. */
  reference(element: number): string | undefined {
    const text = this.text(element)
    return text === undefined ? undefined : bare(text)
  }

  device(element: number): BcdDevice | undefined {
    const value = this.#value(element)
    return value === undefined ? undefined : readDevice(element, value)
  }

  /** Every device element. */
  devices(): BcdDevice[] {
    return [...(this.#elements?.subkeys() ?? [])].flatMap(({ name }) =>
      /^[0-9a-f]1[0-9a-f]{6}$/i.test(name) ? (this.device(Number.parseInt(name, 16)) ?? []) : [],
    )
  }

  #value(element: number): HiveValue | undefined {
    return this.#elements?.subkey(hex32(element))?.value('Element')
  }
}

/** A boot store: the file BCD, which is a hive. */
export class BcdStore {
  readonly objects: readonly BcdObject[]

  /** @throws ImageError corrupt E_HIVE_CORRUPT; unsupported E_HIVE_FEATURE. */
  constructor(hive: Hive) {
    const objects: BcdObject[] = []
    for (const key of hive.root.subkey('Objects')?.subkeys() ?? [])
      if (objects.push(new BcdObject(key)) >= mostObjects) break
    this.objects = objects
  }

  object(id: string | undefined): BcdObject | undefined {
    return this.objects.find((object) => object.id === id)
  }

  get bootManager(): BcdObject | undefined {
    return this.object(bcdObjects.bootManager)
  }

  /** The entry that starts when nobody chooses. */
  get first(): BcdObject | undefined {
    return this.object(this.bootManager?.reference(bcdElements.default))
  }
}

/** What is to be written so that a device element names another partition at a place that it names one. */
export function placePatches({ value }: BcdDevice, { offset }: StoredPlace, to: DiskPlace): HivePatch[] {
  const bytes = new Uint8Array(40)
  const view = viewOf(bytes)
  view.setUint32(20, schemes[to.scheme], true)
  if (to.scheme === 'mbr') {
    view.setBigUint64(0, BigInt(to.start), true)
    view.setUint32(24, Number.parseInt(to.disk, 16), true)
  } else {
    bytes.set(parseGuid(to.partition) ?? [], 0)
    bytes.set(parseGuid(to.disk ?? '') ?? [], 24)
  }
  return value.patches(offset + partitionDevice.fields.start.offset, bytes)
}

function readDevice(element: number, value: HiveValue): BcdDevice {
  const data = value.data()
  const type = data.length < optionsLength + 4 ? -1 : viewOf(data).getUint32(optionsLength, true)
  const places: StoredPlace[] = []
  for (let offset = optionsLength; offset + partitionDevice.size <= data.length; offset += 4) {
    const place = readPlace(data, offset)
    if (place === undefined) continue
    places.push({ offset, place })
    offset += partitionDevice.size - 4
  }
  const kind =
    type === deviceTypes.boot
      ? 'boot'
      : type === deviceTypes.locate
        ? 'locate'
        : type === deviceTypes.partition && places[0]?.offset === optionsLength
          ? 'partition'
          : 'other'
  return { element, kind, places, value }
}

function readPlace(data: Uint8Array, offset: number): DiskPlace | undefined {
  const { type, size, zero, kind, scheme, start, partition, signature, disk } = partitionDevice.read(data, offset)
  if (type !== deviceTypes.partition || size !== partitionDevice.size || zero !== 0 || kind !== 0) return undefined
  if (scheme === schemes.gpt) return { scheme: 'gpt', partition, disk }
  if (scheme !== schemes.mbr) return undefined
  return { scheme: 'mbr', disk: hex32(signature), start: Number(start) }
}

function bare(name: string): string {
  return name.replace(/^\{(.*)\}$/, '$1').toLowerCase()
}
