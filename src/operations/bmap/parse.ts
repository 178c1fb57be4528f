import { createHash } from 'node:crypto'
import { childElements, childText, parseXml, type XmlElement } from '../../binary/xml.js'
import type { Note } from '../../block/types.js'
import { corrupt, printable, unsupported, type ImageError } from '../../errors.js'

/** A range of blocks that are mapped. Bytes. */
export interface MappedRange {
  readonly start: number
  readonly length: number
  /** Hexadecimal; undefined where none is recorded. */
  readonly checksum: string | undefined
}

/** A block map (bmaptool), judged. */
export interface Bmap {
  readonly version: string
  readonly imageSize: number
  readonly blockSize: number
  /** Ascending, disjoint. */
  readonly ranges: readonly MappedRange[]
  /** As node:crypto names it; undefined where the version has no checksums. */
  readonly algorithm: string | undefined
  readonly notes: readonly Note[]
}

const algorithms: readonly string[] = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512']
const mostRanges = 1024 * 1024
const limits = { depth: 16, elements: mostRanges + 64, attributes: mostRanges + 64 }
const largestBlock = 1024 * 1024 * 1024

/**
 * Reads a block map of version 1.x or 2.x (bmap-tools, docs: the comment in every .bmap file).
 * @throws ImageError corrupt E_BMAP, E_TOO_LARGE; unsupported E_VERSION, E_BMAP_ALGORITHM.
 */
export function parseBlockMap(name: string, bytes: Uint8Array): Bmap {
  return new Reader(name, bytes).read()
}

/** Sizes in bytes. */
interface Shape {
  readonly imageSize: number
  readonly blockSize: number
  readonly blocks: number
}

class Reader {
  readonly #name: string
  readonly #text: string
  readonly #notes: Note[] = []

  constructor(name: string, bytes: Uint8Array) {
    this.#name = name
    // One character a byte: the checksum of the file is over its bytes, and all that counts in it is ASCII.
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
    this.#text = text.startsWith('-----BEGIN PGP SIGNED MESSAGE-----') ? this.#signed(text) : text
  }

  read(): Bmap {
    const root = this.#root()
    const version = root.attributes.get('version')?.trim() ?? ''
    const [, major = '', minor = ''] = /^(\d+)\.(\d+)$/.exec(version) ?? []
    if (major === '') throw this.#bad(`its version is "${printable(version.slice(0, 20))}"`)
    if (major !== '1' && major !== '2')
      throw unsupported('E_VERSION', `${this.#name}: version ${version} of a block map; 1.x and 2.x are known`)
    const hasSums = major === '2' || Number(minor) >= 3
    const isOld = major === '1' && Number(minor) === 3
    const algorithm = hasSums ? (isOld ? 'sha1' : this.#algorithm(root)) : undefined
    if (algorithm !== undefined) this.#checkOwn(root, isOld ? 'BmapFileSHA1' : 'BmapFileChecksum', algorithm)
    const shape = this.#shape(root)
    const { imageSize, blockSize } = shape
    const ranges = this.#ranges(root, shape, isOld ? 'sha1' : 'chksum', algorithm)
    const mapped = ranges.reduce((sum, { length }) => sum + Math.ceil(length / blockSize), 0)
    const stated = this.#number(root, 'MappedBlocksCount')
    if (mapped !== stated) throw this.#bad(`${stated} blocks are to be mapped, its ranges have ${mapped}`)
    const without = algorithm === undefined ? 0 : ranges.filter(({ checksum }) => checksum === undefined).length
    if (without > 0) this.#note('W_BMAP_NO_CHECKSUM', `${without} of its ${ranges.length} ranges have no checksum`)
    return { version, imageSize, blockSize, ranges, algorithm, notes: this.#notes }
  }

  #shape(root: XmlElement): Shape {
    const imageSize = this.#number(root, 'ImageSize')
    const blockSize = this.#number(root, 'BlockSize')
    const blocks = this.#number(root, 'BlocksCount')
    if (blockSize === 0 || blockSize > largestBlock) throw this.#bad(`a block has ${blockSize} bytes`)
    if (blocks !== Math.ceil(imageSize / blockSize))
      throw this.#bad(`it has ${blocks} blocks of ${blockSize} bytes, for an image of ${imageSize}`)
    return { imageSize, blockSize, blocks }
  }

  #root(): XmlElement {
    let root: XmlElement
    try {
      root = parseXml(this.#text, limits)
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause
      throw corrupt('E_BMAP', `${this.#name} is no XML that can be read: ${cause.message}`, { cause })
    }
    if (root.name !== 'bmap') throw this.#bad(`its root is <${printable(root.name.slice(0, 40))}>, not <bmap>`)
    return root
  }

  #algorithm(root: XmlElement): string {
    const type = this.#only(root, 'ChecksumType').toLowerCase()
    if (algorithms.includes(type)) return type
    throw unsupported(
      'E_BMAP_ALGORITHM',
      `${this.#name}: checksums of the unknown kind "${printable(type.slice(0, 40))}"`,
    )
  }

  /** The checksum of the whole file, taken with zeros where it stands. */
  #checkOwn(root: XmlElement, element: string, algorithm: string): void {
    const stated = this.#only(root, element)
    const at = this.#text.indexOf(stated)
    if (!/^[0-9a-f]+$/i.test(stated) || at < 0) throw this.#bad(`<${element}> is no checksum`)
    const zeroed = this.#text.slice(0, at) + '0'.repeat(stated.length) + this.#text.slice(at + stated.length)
    const found = createHash(algorithm).update(Buffer.from(zeroed, 'latin1')).digest('hex')
    if (found !== stated.toLowerCase())
      throw this.#bad(`its own checksum is ${found}, <${element}> says ${stated.toLowerCase()}: it was changed`)
  }

  #ranges(root: XmlElement, shape: Shape, attribute: string, algorithm: string | undefined): MappedRange[] {
    const maps = childElements(root, 'BlockMap')
    const [map] = maps
    if (map === undefined || maps.length > 1) throw this.#bad(`it has ${maps.length} elements <BlockMap>`)
    const digits = algorithm === undefined ? 0 : createHash(algorithm).digest('hex').length
    let next = 0
    return childElements(map, 'Range').map(({ text, attributes }) => {
      const [, first = '', last = first] = /^\s*(\d{1,15})\s*(?:-\s*(\d{1,15})\s*)?$/.exec(text) ?? []
      if (first === '') throw this.#bad(`"${printable(text.trim().slice(0, 40))}" is no range of blocks`)
      const start = Number(first)
      const end = Number(last) + 1
      if (start < next) throw this.#bad(`its ranges overlap, or are not in order, at block ${start}`)
      if (end <= start || end > shape.blocks)
        throw this.#bad(`the range ${first}-${last} does not fit ${shape.blocks} blocks`)
      next = end
      const checksum = algorithm === undefined ? undefined : attributes.get(attribute)?.trim().toLowerCase()
      if (checksum !== undefined && (checksum.length !== digits || !/^[0-9a-f]+$/.test(checksum)))
        throw this.#bad(`the checksum of the range ${first}-${last} is none of ${algorithm ?? ''}`)
      const position = start * shape.blockSize
      return { start: position, length: Math.min(end * shape.blockSize, shape.imageSize) - position, checksum }
    })
  }

  #number(root: XmlElement, element: string): number {
    const text = this.#only(root, element)
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    if (!Number.isSafeInteger(value)) throw this.#bad(`<${element}> is "${printable(text.slice(0, 40))}"`)
    return value
  }

  #only(root: XmlElement, element: string): string {
    const found = childText(root, element)
    if (found === undefined || childElements(root, element).length > 1)
      throw this.#bad(`<${element}> is ${found === undefined ? 'missing' : 'there more than once'}`)
    return found
  }

  /** What is signed of a clear-signed message (RFC 9580, section 7); the signature is not checked. */
  #signed(text: string): string {
    const [, body] =
      /^-----BEGIN PGP SIGNED MESSAGE-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n([^]*?)\r?\n-----BEGIN PGP SIGNATURE-----/.exec(
        text,
      ) ?? []
    if (body === undefined) throw this.#bad('a signature surrounds it, and is not whole')
    this.#note('W_BMAP_SIGNATURE', 'a PGP signature surrounds it, which is not checked')
    return `${body.replace(/^- /gm, '')}\n`
  }

  #note(code: string, message: string): void {
    this.#notes.push({ code, message: `${this.#name}: ${message}` })
  }

  #bad(message: string): ImageError {
    return corrupt('E_BMAP', `the block map ${this.#name} is damaged: ${message}`, { hint })
  }
}

const hint = 'Get it again, or restore the whole image with --no-bmap.'
