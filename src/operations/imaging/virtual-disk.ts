import type { Note } from '../../block/types.js'
import type { Disk, DiskPlatform } from '../../device/types.js'
import { sharedDisks } from '../../device/safety.js'
import { isImageError, printable, usage, type Label } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import type { ImageFile } from '../../formats/opened.js'
import { ProbedFile } from '../../formats/probe.js'
import { Registry } from '../../formats/registry.js'
import type { Location } from '../../location/location.js'
import { readPartitionTable, type PartitionTable } from '../../partition/index.js'
import fs from '../../sys/host-fs.js'
import type { NamedDevice, OpenedDevice } from '../device/argument.js'
import { openReadableLater, type LaterOptions } from '../open/opening.js'
import type { GuardAnswer, Heat } from './guards.js'
import { mostBitmaps, type Consistency, type RecordedBitmap } from './record.js'

/**
 * The disk of a virtual machine, as a source of `vdisk image`: a QCOW2 file, or an export of an NBD server. It is read
 * as any image is, and what cannot be read of it is an error, not a bad sector.
 */
export class VirtualDisk implements Disposable {
  /** What stands for the disk where one of this computer is meant otherwise. */
  readonly device: NamedDevice
  readonly heat: Heat = { mounts: [], others: [], written: [], hot: false }
  readonly consistency: Consistency
  readonly checking: string
  /** For people. */
  readonly title: string
  readonly #opened: OpenedImage
  readonly #isExport: boolean

  private constructor(name: string, opened: OpenedImage) {
    this.#opened = opened
    const { location } = opened.top
    this.#isExport = location.path === undefined
    this.device = namedDevice(name, location.path ?? location.address, opened, this.#isExport ? 'nbd' : undefined)
    const busy = opened.notes.find(({ code }) => code === 'W_IN_USE')
    this.consistency = this.#isExport
      ? { state: 'crash-consistent', why: 'an export of an NBD server, which decides what moment it shows' }
      : busy === undefined
        ? { state: 'cold', why: 'no program had the image open for writing, and it did not change while it was read' }
        : { state: 'crash-consistent', why: busy.message }
    this.title = `the disk of a virtual machine, ${opened.name}`
    this.checking = `make sure that ${opened.name} did not change meanwhile`
  }

  /**
   * Opens the disk that an argument names; undefined where it names something else. @throws ImageError those of opening
   * an image.
   */
  static async open(
    argument: string,
    options: LaterOptions & { readonly registry?: Registry },
  ): Promise<VirtualDisk | undefined> {
    const registry = options.registry ?? new Registry()
    const place = registry.schemes.locate(argument)
    if (!isVirtual(place, registry)) return undefined
    const opened = await openReadableLater(argument, options)
    try {
      return new VirtualDisk(argument, opened)
    } catch (error) {
      opened[Symbol.dispose]()
      throw error
    }
  }

  /** What is known of the images that it is read from. */
  get notes(): readonly Note[] {
    return this.#opened.notes
  }

  /** The files of this computer that it is read from. */
  get files(): readonly ImageFile[] {
    return this.#opened.files
  }

  /** The disk as a device that is read; closing that does not close it. */
  get reading(): OpenedDevice {
    return {
      source: this.#opened,
      exclusive: false,
      [Symbol.dispose]: () => {
        // It is closed by who opened it.
      },
    }
  }

  /** The dirty bitmaps that it has now, which say what changes from now on. */
  get bitmaps(): readonly RecordedBitmap[] {
    const { image, location } = this.#opened.top
    const names = image.bitmaps ?? (this.#isExport ? location.changeLists?.() : undefined) ?? []
    return names.slice(0, mostBitmaps).map((name) => ({
      name,
      bytes: [...this.changes(name)].reduce((sum, { length }) => sum + length, 0),
    }))
  }

  /** What a dirty bitmap of it lists. @throws ImageError usage E_NO_BITMAP; refused E_BITMAP_STALE; corrupt. */
  changes(bitmap: string): Iterable<{ readonly offset: number; readonly length: number }> {
    const { image, location } = this.#opened.top
    const changes = image.changes?.(bitmap) ?? location.changes?.(bitmap)
    if (changes !== undefined) return changes
    throw noBitmaps(printable(this.#opened.name))
  }

  /** Whether the image would be lost with the disk. */
  sameDisk(target: string, platform: DiskPlatform): GuardAnswer {
    const { path } = this.#opened.top.location
    const shared = path === undefined ? undefined : sharedDisks(platform.place(path), platform.place(target))
    return shared?.verdict === 'same'
      ? {
          guard: 'same-disk',
          verdict: 'noted',
          why:
            `the image ${printable(target)} would lie on the disk that holds ${this.#opened.name}: what happens to ` +
            'that disk happens to both',
        }
      : { guard: 'same-disk', verdict: 'passed', why: `${this.#opened.name} is no disk of this computer` }
  }

  /** Whether it changes while it is read. */
  get inUse(): GuardAnswer {
    const { state, why } = this.consistency
    return { guard: 'in-use', verdict: state === 'cold' || this.#isExport ? 'passed' : 'noted', why }
  }

  /** @throws ImageError corrupt E_SOURCE_CHANGED */
  check(): Promise<void> {
    this.#opened.assertUnchanged()
    return Promise.resolve()
  }

  [Symbol.dispose](): void {
    this.#opened[Symbol.dispose]()
  }
}

function isVirtual(place: Location, registry: Registry): boolean {
  if (place.scheme === 'nbd') return true
  if (place.path === undefined || fs.statSync(place.path, { throwIfNoEntry: false })?.isFile() !== true) return false
  using store = place.store()
  return new ProbedFile(store, registry).drivers('certain').some(({ features }) => features.bitmaps === true)
}

function namedDevice(name: string, path: string, opened: OpenedImage, bus: string | undefined): NamedDevice {
  const { capacity: size, sectorSize } = opened
  const disk: Disk = {
    kind: 'network',
    name: opened.name,
    path,
    deviceNumber: '',
    size,
    bus,
    removable: false,
    readOnly: true,
    rotational: false,
    discards: false,
    logicalSectorSize: sectorSize,
    physicalSectorSize: sectorSize,
    slaves: [],
    uses: [],
    partitions: [],
    system: [],
  }
  return { kind: 'disk', name, path, disk, start: 0, size, table: tableOf(opened) }
}

function tableOf(opened: OpenedImage): PartitionTable | undefined {
  try {
    return readPartitionTable(opened)
  } catch (error) {
    // It only says which disk this is.
    if (!isImageError(error)) throw error
    return undefined
  }
}

/** @returns usage E_NO_BITMAP */
export function noBitmaps(name: Label): Error {
  return usage('E_NO_BITMAP', `${name} has no lists of changes`, {
    hint: 'Only qcow2 images and exports of QEMU have dirty bitmaps: make the image without --changed.',
  })
}
