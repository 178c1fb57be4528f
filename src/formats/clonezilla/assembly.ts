import type { LogicalVolume } from '../../binary/lvm2/group.js'
import { AbsentSource } from '../../block/absent.js'
import { BytesSource } from '../../block/bytes-source.js'
import { ConcatenatedSource, patchedSource } from '../../block/concatenated.js'
import { Layout } from '../../block/layout.js'
import type { BlockSource, Note } from '../../block/types.js'
import { corrupt, printable, unsupported } from '../../errors.js'
import type { OpenContext } from '../driver.js'
import { bootArea, gptCapacity, type SavedAreas } from './boot-area.js'
import { physicalVolumes } from './disks.js'
import type { BackupFolder } from './folder.js'
import type { PieceSet } from './image-names.js'
import { PartitionSource } from './partition-source.js'
import { swapHeader } from './swap.js'
import { groupOf, makePhysicalVolume } from './volume-group.js'
import { isContainer, parseTable, partedCapacity, type DumpedPartition, type ListedTable } from './table-text.js'

/** Content that the backup holds: a partition or a part of a logical volume, and where it is on the disk. Bytes. */
export interface PlacedPartition {
  readonly start: number
  readonly length: number
  readonly source: PartitionSource
}

/** A disk that was put together. */
export interface Assembled {
  readonly source: BlockSource
  readonly sectorSize: 512 | 4096
  readonly partitions: readonly PlacedPartition[]
  /** What became of each partition, for `info`. */
  readonly saved: readonly { readonly device: string; readonly text: string; readonly size: number }[]
  readonly notes: readonly Note[]
}

/** @throws ImageError corrupt E_BACKUP; reference E_PART_MISSING; unsupported E_ENCRYPTED. */
export function assembleDisk(folder: BackupFolder, context: OpenContext, disk: string): Assembled {
  refuseEncrypted(folder)
  const name = printable(disk)
  const table = parseTable(folder.text(`${disk}-pt.sf`) ?? '', `${name}-pt.sf`)
  const areas: SavedAreas = {
    mbr: folder.bytes(`${disk}-mbr`),
    hidden: folder.bytes(`${disk}-hidden-data-after-mbr`),
    gptFirst: folder.bytes(`${disk}-gpt-1st`),
    gptLast: folder.bytes(`${disk}-gpt-2nd`),
  }
  const notes: Note[] = []
  const capacity = capacityOf(folder, disk, table, areas, notes)
  const parts = new Parts(folder, context, table, notes)
  const base = parts.laidOut(capacity, name)
  const boot = bootArea(table, capacity, areas, name)
  notes.push(...boot.notes)
  const source = patchedSource(base, boot.patches, { capacity, sectorSize: table.sectorSize })
  return { source, sectorSize: table.sectorSize, partitions: parts.opened, saved: parts.saved, notes }
}

/** What was saved without a table: a logical volume, a disk without partitions. */
export function assembleDevice(folder: BackupFolder, context: OpenContext, device: string): Assembled {
  refuseEncrypted(folder)
  const set = folder.imageOf(device)
  if (set === undefined) throw corrupt('E_BACKUP', `${printable(device)} is not in the backup`)
  const source = new PartitionSource(folder, context, set, 512)
  const disk = device.replace(/p?\d+$/, '')
  const isPart = disk !== device && folder.words('parts').includes(device)
  return {
    source,
    sectorSize: 512,
    partitions: [{ start: 0, length: source.capacity, source }],
    saved: [{ device, text: describeSet(set), size: source.capacity }],
    notes: isPart
      ? [
          {
            code: 'W_NO_TABLE',
            message: `the partition table of ${printable(disk)} (${printable(disk)}-pt.sf) is not in the backup`,
          },
        ]
      : [],
  }
}

function refuseEncrypted(folder: BackupFolder): void {
  if (folder.names.includes('ecryptfs.info'))
    throw unsupported('E_ENCRYPTED', 'the backup is encrypted with eCryptfs', {
      hint: 'Mount it with eCryptfs first, and name the folder that it is mounted on.',
    })
}

function capacityOf(
  folder: BackupFolder,
  disk: string,
  { sectorSize, partitions, label }: ListedTable,
  { gptFirst }: SavedAreas,
  notes: Note[],
): number {
  const end = Math.max(0, ...partitions.map(({ start, size }) => start + size))
  const recorded =
    partedCapacity(folder.text(`${disk}-pt.parted`) ?? '', sectorSize) ??
    (label === 'gpt' ? gptCapacity(gptFirst, sectorSize) : undefined)
  const capacity = recorded ?? Math.ceil(end / 1048576 + 1) * 1048576
  if (!Number.isSafeInteger(capacity) || capacity < end)
    throw corrupt('E_BACKUP', `${printable(disk)} has ${capacity} bytes, but its partitions end at byte ${end}`)
  if (recorded === undefined)
    notes.push({
      code: 'W_CAPACITY',
      message: `the backup does not say how large ${printable(disk)} is: it ends 1 MiB behind its last partition`,
    })
  return capacity
}

/** The partitions of a disk, each with what the backup holds of it. */
class Parts {
  readonly opened: PlacedPartition[] = []
  readonly saved: { readonly device: string; readonly text: string; readonly size: number }[] = []
  readonly #folder: BackupFolder
  readonly #context: OpenContext
  readonly #table: ListedTable
  readonly #notes: Note[]
  /** Logical volumes that were met, by their names. */
  readonly #logical = new Map<string, PartitionSource>()

  constructor(folder: BackupFolder, context: OpenContext, table: ListedTable, notes: Note[]) {
    this.#folder = folder
    this.#context = context
    this.#table = table
    this.#notes = notes
  }

  /** All of them in their places, and nothing between them. */
  laidOut(capacity: number, disk: string): BlockSource {
    const { partitions, sectorSize } = this.#table
    const layout = new Layout(sectorSize)
    for (const partition of [...partitions].sort((one, other) => one.start - other.start)) {
      if (isContainer(partition, this.#table)) continue
      if (partition.start < layout.end)
        throw corrupt(
          'E_BACKUP',
          `${disk}-pt.sf: ${printable(partition.device)} begins at byte ${partition.start}, ` +
            'before the end of the one before it',
        )
      layout.add(partition.start, this.#contentOf(partition))
    }
    return layout.finish(capacity)
  }

  #contentOf({ device, start, size }: DumpedPartition): BlockSource {
    const { sectorSize } = this.#table
    const set = this.#folder.imageOf(device)
    if (set !== undefined) {
      const source = new PartitionSource(this.#folder, this.#context, set, sectorSize, size)
      this.opened.push({ start, length: size, source })
      this.saved.push({ device, text: describeSet(set), size })
      return source
    }
    return (
      this.#swap(device, size) ??
      this.#luks(device, size) ??
      this.#physicalVolume(device, start, size) ??
      this.#missing(device, size)
    )
  }

  #swap(device: string, size: number): BlockSource | undefined {
    const header = this.#swapHeader(device, size)
    if (header !== undefined) this.saved.push({ device, text: 'swap, made anew with its UUID and label', size })
    return header
  }

  #swapHeader(device: string, size: number): BlockSource | undefined {
    const text = this.#folder.text(`swappt-${device}.info`)
    const isSwap = new RegExp(`^/dev/${device}\\s+swap\\b`, 'm').test(this.#folder.text('dev-fs.list') ?? '')
    if (text === undefined && !isSwap) return undefined
    const field = (key: string): string | undefined => new RegExp(`^${key}="([^"]+)"`, 'm').exec(text ?? '')?.[1]
    const header = swapHeader(size, field('UUID'), field('LABEL'))
    return header === undefined ? undefined : this.#before(header, size, device)
  }

  #luks(device: string, size: number): BlockSource | undefined {
    const header = this.#folder.bytes(`${device}-luksHeader.bin`)
    if (header === undefined || header.length > size) return undefined
    this.saved.push({ device, text: 'the header of LUKS; its content was saved decrypted', size })
    this.#note(
      device,
      'is encrypted with LUKS: its header is here, and its content, saved decrypted, is a device of its own',
    )
    return this.#before(header, size, device)
  }

  /** A physical volume of LVM, put together of the logical volumes that the backup holds. */
  #physicalVolume(device: string, start: number, size: number): BlockSource | undefined {
    const physical = physicalVolumes(this.#folder).find((volume) => volume.device === device)
    const described = physical === undefined ? undefined : groupOf(this.#folder, physical)
    if (physical === undefined || described === undefined) return undefined
    const { name } = described.group
    const made = makePhysicalVolume(described, physical, size, (volume) => this.#logicalVolume(name, volume))
    if (made === undefined) return undefined
    for (const run of made.runs) {
      const source = this.#logical.get(run.volume)
      if (source !== undefined) this.opened.push({ start: start + run.start, length: run.length, source })
    }
    for (const { name: volume, why, isElsewhere } of made.missing) {
      const own = `${name}-${volume}`
      const advice = this.#folder.imageOf(own) === undefined ? '' : `; @disk=${printable(own)} is its content`
      const what =
        isElsewhere === true ? 'it is missing on the disk' : `its place on ${printable(device)} reads as zero`
      this.#note(`${name}/${volume}`, `${why}: ${what}${advice}`)
    }
    const volumes = new Set(made.runs.map(({ volume }) => printable(volume)))
    this.saved.push({
      device,
      text: `LVM, group ${printable(name)}, made anew; logical volumes: ${[...volumes].join(', ') || 'none'}`,
      size,
    })
    return made.source
  }

  #logicalVolume(group: string, { name, size }: LogicalVolume): BlockSource | undefined {
    const device = `${group}-${name}`
    const known = this.#logical.get(name)
    if (known !== undefined) return known
    const set = this.#folder.imageOf(device)
    if (set === undefined) return this.#swapHeader(device, size)
    const source = new PartitionSource(this.#folder, this.#context, set, 512, size)
    this.#logical.set(name, source)
    return source
  }

  #missing(device: string, size: number): BlockSource {
    const volume = physicalVolumes(this.#folder).find((physical) => physical.device === device)
    this.saved.push({
      device,
      text: volume === undefined ? 'not saved' : `LVM, group ${printable(volume.group)}`,
      size,
    })
    this.#note(
      device,
      volume === undefined
        ? 'is not in the backup, and reads as zero'
        : `is a physical volume of LVM (${printable(volume.group)}), and reads as zero; @disk= chooses its volumes`,
    )
    return new AbsentSource(size, this.#table.sectorSize)
  }

  #before(bytes: Uint8Array, size: number, device: string): BlockSource {
    const { sectorSize } = this.#table
    return new ConcatenatedSource(
      [
        new BytesSource(bytes, `the header of ${device}`, sectorSize),
        new AbsentSource(size - bytes.length, sectorSize),
      ],
      sectorSize,
    )
  }

  #note(device: string, what: string): void {
    const message = `${printable(device)} ${what}`
    // Each physical volume of a group reports what is missing of it.
    if (!this.#notes.some((note) => note.message === message)) this.#notes.push({ code: 'W_NOT_SAVED', message })
  }
}

function describeSet({ tool, filesystem, compression, names }: PieceSet): string {
  const kind = [filesystem === '' || filesystem === 'dd' ? undefined : filesystem, tool, compression]
  const count = names.length === 1 ? '1 file' : `${names.length} files`
  return printable([...kind.filter((word) => word !== undefined && word !== 'uncomp'), count].join(', '))
}
