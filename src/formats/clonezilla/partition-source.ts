import { ConcatenatedSource } from '../../block/concatenated.js'
import { ExtentReader } from '../../block/read.js'
import { RangeSource } from '../../block/range-source.js'
import { SourceStore } from '../../block/source-store.js'
import type { BlockSource, ByteStore, Extent, Note } from '../../block/types.js'
import { finish, type Work } from '../../block/work.js'
import { corrupt, printable, unsupported } from '../../errors.js'
import type { ImageInside, OpenContext } from '../driver.js'
import type { BackupFolder } from './folder.js'
import type { PieceSet } from './image-names.js'

/** What compresses pieces that vdisk does not decode. */
const otherTools: Readonly<Record<string, string>> = { lzo: 'lzop', lzip: 'lzip', lrz: 'lrzip' }

/** A partition, whose image is opened when something of it is read: it may have to be unpacked first. */
export class PartitionSource implements BlockSource {
  readonly grain = 512
  readonly #folder: BackupFolder
  readonly #context: OpenContext
  readonly #set: PieceSet
  readonly #reader = new ExtentReader(this)
  #image: ImageInside | undefined

  /** @param capacity bytes of the partition; undefined: those of its image. */
  constructor(
    folder: BackupFolder,
    context: OpenContext,
    set: PieceSet,
    readonly sectorSize: 512 | 4096,
    capacity?: number,
  ) {
    this.#folder = folder
    this.#context = context
    this.#set = set
    this.capacity = capacity ?? this.image().capacity
  }

  readonly capacity: number

  get device(): string {
    return this.#set.device
  }

  /** Of its image, once it was opened. */
  get notes(): readonly Note[] {
    const image = this.#image
    if (image === undefined) return []
    const device = printable(this.device)
    const notes = image.notes.map(({ code, message }) => ({ code, message: `${device}: ${message}` }))
    if (image.capacity < this.capacity)
      notes.push({
        code: 'W_PARTITION_SIZE',
        message:
          `${device}: its image is of a partition of ${image.capacity} bytes, the table has ${this.capacity}: ` +
          'the rest reads as zero',
      })
    return notes
  }

  /** @throws ImageError what opening it throws; corrupt E_BACKUP where it is larger than its partition. */
  image(): ImageInside {
    return this.#image ?? finish(this.prepare())
  }

  /** Opens its image, which may have to be unpacked. @throws ImageError as {@link image}. */
  *prepare(): Work<ImageInside> {
    if (this.#image !== undefined) return this.#image
    const image = yield* openPieces(this.#folder, this.#context, this.#set)
    const room = this.capacity as number | undefined
    if (room !== undefined && image.capacity > room) {
      image[Symbol.dispose]()
      throw corrupt(
        'E_BACKUP',
        `${printable(this.#set.stem)} holds a partition of ${image.capacity} bytes, but ${printable(this.device)} ` +
          `has ${room}: it belongs to another partition`,
      )
    }
    this.#image = image
    return image
  }

  extentAt(offset: number, limit: number): Extent {
    const image = this.image()
    const length = Math.min(limit, this.capacity - offset)
    if (offset >= image.capacity) return { kind: 'absent', offset, length }
    return image.extentAt(offset, Math.min(length, image.capacity - offset))
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    this.#image?.[Symbol.dispose]()
    this.#image = undefined
  }
}

function* openPieces(folder: BackupFolder, context: OpenContext, set: PieceSet): Work<ImageInside> {
  const { tool, compression = '', stem } = set
  if (tool === 'partimage')
    throw unsupported(
      'E_UNSUPPORTED_FORMAT',
      `${printable(set.names[0] ?? '')} is a partimage volume, which vdisk cannot read`,
      {
        hint: 'Restore it with partimage.',
      },
    )
  const packer = otherTools[compression]
  if (packer !== undefined)
    throw unsupported('E_CODEC', `${printable(stem)} is compressed with ${packer}, which vdisk does not read`, {
      hint: `Unpack it with ${packer} first.`,
    })
  const stores = folder.pieces(set)
  if (context.openInside === undefined) throw new TypeError('a folder is opened without what opens its images')
  const label = set.names.length === 1 ? stem : `${stem}.*`
  return yield* context.openInside(joined(stores, label), {
    name: `${set.device}.img`,
    formats: tool === 'dd' ? ['raw', 'partclone'] : [tool],
  })
}

/** Pieces as one file. They belong to the folder, which closes them. */
function joined(stores: readonly ByteStore[], name: string): ByteStore {
  const whole = new ConcatenatedSource(
    stores.map((store) => new RangeSource(store)),
    512,
  )
  return new SourceStore(name, whole, {
    changed: () => stores.map((store) => store.changed?.()).find((change) => change !== undefined),
    [Symbol.dispose]: () => undefined,
  })
}
