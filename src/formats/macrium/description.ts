import type { ByteStore } from '../../block/types.js'
import { corrupt, isImageError, printable, unsupported, type ImageError } from '../../errors.js'
import { blockContent, firstBlock, readBlocks, type MetadataBlock } from './metadata.js'
import { blockNames } from './structs.js'
import { isJsonObject } from '../../binary/json-object.js'

/** What a file says of its backup. Positions and lengths are bytes. */
export interface Description {
  readonly imageId: string
  readonly kind: 'full' | 'differential' | 'incremental'
  readonly fileNumber: number
  readonly increment: number
  /** Numbers of files whose blocks were moved into this one. */
  readonly merged: readonly number[]
  /** Whether the index is in a later file of the same backup. */
  readonly split: boolean
  /** Whether the index holds only what changed since the file before. */
  readonly delta: boolean
  readonly indexPosition: number
  readonly encryption: string | undefined
  readonly compressed: boolean
  /** Seconds since 1970. */
  readonly time: number | undefined
  readonly computer: string | undefined
  readonly madeBy: string | undefined
  readonly disks: readonly BackedDescription[]
}

export interface BackedDescription {
  readonly number: number
  readonly table: 'gpt' | 'mbr'
  readonly size: number
  readonly sectorSize: 512 | 4096
  readonly title: string | undefined
  readonly partitions: readonly DescribedPartition[]
}

export interface DescribedPartition {
  readonly number: number
  readonly filesystem: string | undefined
  readonly label: string | undefined
  /** Where it begins on the disk, and how long it is. */
  readonly start: number
  readonly length: number
  readonly blockSize: number
  /** Where on the disk its blocks begin, and those before them. */
  readonly blocksAt: number
  readonly reservedAt: number
  readonly reservedLength: number
  /** What the files of its backup were called, by their numbers. */
  readonly history: ReadonlyMap<number, string>
}

const longestDescription = 64 * 1024 * 1024
const largestBlock = 64 * 1024 * 1024
const mostItems = 4096

/**
 * What a file says of itself. @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_CHECKSUM, E_BACKUP; unsupported
 * E_VERSION, E_NOT_A_DISK_IMAGE.
 */
export function readDescription(store: ByteStore): Description {
  const block = descriptionIn(store)
  const text = Buffer.from(blockContent(store, block, longestDescription)).toString('utf8')
  return new Reader(store.name).description(parsed(store, text))
}

/** @throws ImageError unsupported E_VERSION where the file is one of Reflect 8 or older. */
function descriptionIn(store: ByteStore): MetadataBlock {
  const isOld = !/\.mrimgx$/i.test(store.name)
  try {
    const { blocks } = readBlocks(store, firstBlock(store))
    const block = blocks.find(({ name }) => name === blockNames.description)
    if (block !== undefined) return block
  } catch (error) {
    // What stands in its place in older files is not known.
    if (!isOld || !isImageError(error) || !['E_HEADER', 'E_TOO_LARGE', 'E_TRUNCATED'].includes(error.code)) throw error
  }
  throw unsupported('E_VERSION', `${store.name} was made by Macrium Reflect 8 or older: its layout is not published`, {
    hint: 'Macrium Reflect mounts it as a drive, and converts it to VHD or VHDX.',
  })
}

function parsed({ name }: ByteStore, text: string): unknown {
  try {
    return JSON.parse(text.replace(/\0+$/, '')) as unknown
  } catch (cause) {
    throw corrupt('E_BACKUP', `${name}: what it says of its backup is no JSON`, { cause })
  }
}

type Node = Readonly<Record<string, unknown>>

/** Takes values out of the JSON, each with its limits. */
class Reader {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  description(root: unknown): Description {
    const all = this.#node(root, 'the description')
    const header = this.#node(all['_header'], '_header')
    const format = this.#text(header, 'backup_format')
    if (format !== undefined && /file/.test(format))
      throw unsupported('E_NOT_A_DISK_IMAGE', `${this.#file} is a backup of files and folders, not of a disk`, {
        hint: 'Restore the files with Macrium Reflect.',
      })
    const imageId = this.#text(header, 'imageid')
    if (imageId === undefined) throw this.#bad('imageid is missing')
    const encryption = this.#optional(all, '_encryption')
    const cipher = this.#text(encryption, 'aes_type')
    const isEncrypted = encryption['enable'] === true || (cipher !== undefined && cipher !== 'none')
    const level = this.#text(this.#optional(all, '_compression'), 'compression_level')
    const program = this.#optional(this.#optional(all, '_auxiliary_data'), 'macrium_reflect')
    const version = ['major', 'minor', 'build'].map((key) => this.#plain(program, key))
    const delta = header['delta_index'] === true
    return {
      imageId: imageId.toUpperCase(),
      kind: kindOf(this.#text(header, 'backup_type'), delta),
      fileNumber: this.#number(header, 'file_number', 65535),
      increment: this.#number(header, 'increment_number', 2 ** 31),
      merged: this.#list(header, 'merged_files').map((number) => this.#count(number, 'merged_files', 65535)),
      split: header['split_file'] === true,
      delta,
      indexPosition: this.#number(header, 'index_file_position', Number.MAX_SAFE_INTEGER),
      encryption: isEncrypted ? (cipher ?? 'aes') : undefined,
      compressed: level !== 'none',
      time: this.#plain(header, 'backup_time'),
      computer: this.#text(header, 'netbios_name'),
      madeBy: version[0] === undefined ? undefined : version.filter((part) => part !== undefined).join('.'),
      disks: this.#list(all, 'disks').map((disk) => this.#disk(disk)),
    }
  }

  #disk(value: unknown): BackedDescription {
    const disk = this.#node(value, 'disks')
    const header = this.#node(disk['_header'], 'disks._header')
    const geometry = this.#node(disk['_geometry'], 'disks._geometry')
    const sectorSize = this.#number(geometry, 'bytes_per_sector', 65536)
    if (sectorSize !== 512 && sectorSize !== 4096)
      throw unsupported('E_UNSUPPORTED_FEATURE', `${this.#file}: sectors of ${sectorSize} bytes; 512 or 4096 are known`)
    const size = this.#number(geometry, 'disk_size', Number.MAX_SAFE_INTEGER)
    const table = this.#text(header, 'disk_format')
    return {
      number: this.#number(header, 'disk_number', 65535),
      table: table === 'mbr' ? 'mbr' : 'gpt',
      size,
      sectorSize,
      title: this.#text(this.#optional(disk, '_descriptor'), 'disk_description')?.trim(),
      partitions: this.#list(disk, 'partitions').map((partition) => this.#partition(partition, size)),
    }
  }

  #partition(value: unknown, diskSize: number): DescribedPartition {
    const partition = this.#node(value, 'partitions')
    const header = this.#node(partition['_header'], 'partitions._header')
    const geometry = this.#node(partition['_geometry'], 'partitions._geometry')
    const filesystem = this.#node(partition['_file_system'], 'partitions._file_system')
    const start = this.#number(geometry, 'start', diskSize)
    const end = this.#plain(geometry, 'end')
    const length = this.#plain(geometry, 'length') ?? (end === undefined ? diskSize - start : end + 1 - start)
    const blockSize = this.#number(header, 'block_size', largestBlock)
    if (blockSize < 512) throw this.#bad(`block_size is ${blockSize}`)
    if (length <= 0 || length > diskSize - start) throw this.#bad(`a partition of ${length} bytes leaves its disk`)
    const filesystemStart = this.#plain(filesystem, 'start') ?? start
    const within = this.#number(filesystem, 'lcn0_offset', Number.MAX_SAFE_INTEGER) - filesystemStart
    const reservedWithin = this.#plain(geometry, 'boot_sector_offset') ?? 0
    const reservedLength = this.#plain(filesystem, 'reserved_sectors_byte_length') ?? 0
    if (within < 0 || within > length) throw this.#bad(`lcn0_offset leads out of its partition`)
    if (reservedLength > 0 && reservedWithin + reservedLength > length)
      throw this.#bad('reserved_sectors_byte_length leads out of its partition')
    return {
      number: this.#number(header, 'partition_number', 65535),
      filesystem: this.#text(filesystem, 'type'),
      label: this.#text(filesystem, 'volume_label'),
      start,
      length,
      blockSize,
      blocksAt: start + within,
      reservedAt: start + reservedWithin,
      reservedLength,
      history: new Map(
        this.#list(header, 'file_history').map((item) => {
          const file = this.#node(item, 'file_history')
          return [this.#number(file, 'file_number', 65535), this.#text(file, 'file_name') ?? '']
        }),
      ),
    }
  }

  #node(value: unknown, what: string): Node {
    if (isJsonObject(value)) return value
    throw this.#bad(`${what} is missing, or no object`)
  }

  #optional(node: Node, key: string): Node {
    const value = node[key]
    return isJsonObject(value) ? value : {}
  }

  #list(node: Node, key: string): readonly unknown[] {
    const value = node[key] ?? []
    if (!Array.isArray(value) || value.length > mostItems) throw this.#bad(`${key} is no list, or a very long one`)
    return value
  }

  #text(node: Node, key: string): string | undefined {
    const value = node[key]
    return typeof value === 'string' && value.length < 4096 ? value : undefined
  }

  /** A number that need not be there. */
  #plain(node: Node, key: string): number | undefined {
    return node[key] === undefined ? undefined : this.#number(node, key, Number.MAX_SAFE_INTEGER)
  }

  #number(node: Node, key: string, most: number): number {
    return this.#count(node[key], key, most)
  }

  #count(value: unknown, key: string, most: number): number {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most) return value
    throw this.#bad(`${key} is ${printable(String(value)).slice(0, 40)}, expected a number up to ${most}`)
  }

  #bad(why: string): ImageError {
    return corrupt('E_BACKUP', `${this.#file}: what it says of its backup is damaged: ${why}`)
  }
}

function kindOf(type: string | undefined, delta: boolean): Description['kind'] {
  if (type !== undefined && type.startsWith('inc')) return 'incremental'
  if (type !== undefined && type.startsWith('diff')) return 'differential'
  return delta ? 'incremental' : 'full'
}
