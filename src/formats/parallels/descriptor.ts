import { parseXml, type XmlElement } from '../../binary/xml.js'
import { documentText } from '../../block/document.js'
import type { ByteStore, Note } from '../../block/types.js'
import { corrupt, printable, unsupported, type ImageError } from '../../errors.js'
import { rootName, sectorLength } from './structs.js'

/** The state that is written to, where no TopGUID names another (QEMU, docs/interop/prl-xml.rst). */
const defaultTop = '{5fbaabe3-6958-40ff-92a7-860e329aab41}'
const noGuid = '{00000000-0000-0000-0000-000000000000}'
const largestDescriptor = 4 * 1024 * 1024
const mostSectors = 2 ** 44

/** One file of a storage: what it has of one state of the disk. */
export interface StoredImage {
  readonly guid: string
  /** `Compressed` is an expandable image, which is not compressed. */
  readonly type: 'Compressed' | 'Plain'
  /** As the descriptor names it. */
  readonly file: string
}

/** A range of the disk, in bytes, and the files that hold it. */
export interface Storage {
  readonly start: number
  readonly length: number
  /** Sectors of a cluster; undefined where it is not said. */
  readonly blockSize: number | undefined
  readonly images: ReadonlyMap<string, StoredImage>
}

/** A descriptor, judged. */
export interface Descriptor {
  readonly capacity: number
  readonly storages: readonly Storage[]
  /** The state that is written to. */
  readonly top: string
  /** Every state of the disk, with the one it was made over; the first one has none. */
  readonly shots: ReadonlyMap<string, string | undefined>
  readonly isEncrypted: boolean
  readonly notes: readonly Note[]
}

/** The elements of one descriptor, looked up by name. */
class Reader {
  constructor(readonly name: string) {}

  bad(message: string): ImageError {
    return corrupt('E_DESCRIPTOR', `${this.name}: ${message}`)
  }

  /** The children of that name. */
  all(parent: XmlElement | undefined, name: string): readonly XmlElement[] {
    return parent?.children.filter((child) => child.name === name) ?? []
  }

  /** The one child of that name; undefined where there is none. */
  optional(parent: XmlElement | undefined, name: string): XmlElement | undefined {
    const [found, second] = this.all(parent, name)
    if (second !== undefined) throw this.bad(`<${name}> is there twice in <${parent?.name ?? ''}>`)
    return found
  }

  required(parent: XmlElement, name: string): XmlElement {
    const found = this.optional(parent, name)
    if (found === undefined) throw this.bad(`<${parent.name}> has no <${name}>`)
    return found
  }

  /** A number of sectors. */
  sectors(parent: XmlElement, name: string): number {
    const text = this.required(parent, name).text.trim()
    const value = /^\d{1,20}$/.test(text) ? Number(text) : NaN
    if (Number.isNaN(value)) throw this.bad(`<${name}> is "${printable(text.slice(0, 40))}", expected a number`)
    if (value > mostSectors)
      throw corrupt('E_TOO_LARGE', `${this.name}: <${name}> is ${text}, more sectors than a disk can have`)
    return value
  }

  /** In lower case and in braces, whether or not the file has them. */
  guid(element: XmlElement): string {
    const text = element.text.trim()
    const found = guidOf(text)
    if (found === undefined) throw this.bad(`<${element.name}> is "${printable(text.slice(0, 60))}", expected a GUID`)
    return found
  }
}

/** A GUID as it is compared: in lower case and in braces; undefined where the text is none. */
export function guidOf(text: string): string | undefined {
  const [, digits] = /^\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?$/i.exec(text) ?? []
  return digits === undefined ? undefined : `{${digits.toLowerCase()}}`
}

/**
 * Reads DiskDescriptor.xml. @throws ImageError corrupt E_DESCRIPTOR, E_TOO_LARGE; unsupported E_VERSION,
 * E_UNSUPPORTED_FEATURE.
 */
export function readDescriptor(store: ByteStore): Descriptor {
  const read = new Reader(store.name)
  const text = documentText(store, largestDescriptor)
  let root: XmlElement
  try {
    root = parseXml(text)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw corrupt('E_DESCRIPTOR', `${store.name} is no XML that can be read: ${cause.message}`, { cause })
  }
  if (root.name !== rootName) throw read.bad(`its root is <${printable(root.name.slice(0, 40))}>, not <${rootName}>`)
  const version = root.attributes.get('Version')
  if (version !== '1.0')
    throw unsupported('E_VERSION', `${store.name}: version ${printable(version ?? 'none')}; only 1.0 is known`)
  const parameters = read.required(root, 'Disk_Parameters')
  const isEncrypted = readParameters(read, parameters)
  const storages = readStorages(read, root)
  const capacity = storages.reduce((sum, { length }) => sum + length, 0)
  const stated = read.sectors(parameters, 'Disk_size') * sectorLength
  if (stated > capacity)
    throw read.bad(`the disk has ${stated} bytes, its storages only ${capacity}: part of the disk has no file`)
  const notes: Note[] =
    stated < capacity
      ? [
          {
            code: 'W_DISK_SIZE',
            message: `${store.name}: the disk has ${stated} bytes, its storages ${capacity}: the storages count`,
          },
        ]
      : []
  return { capacity, storages, ...readSnapshots(read, root), isEncrypted, notes }
}

/** Whether the disk is encrypted. Refuses what the description does not cover. */
function readParameters(read: Reader, parameters: XmlElement): boolean {
  const number = (name: string): string => read.optional(parameters, name)?.text.trim() ?? ''
  const padding = number('Padding')
  if (padding !== '' && padding !== '0')
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${read.name}: <Padding> is ${printable(padding.slice(0, 20))}; disks with padding are described nowhere`,
    )
  const sector = number('LogicSectorSize')
  if (sector !== '' && sector !== String(sectorLength))
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${read.name}: <LogicSectorSize> is ${printable(sector.slice(0, 20))}; only disks with sectors of 512 bytes ` +
        'are read',
    )
  const engine = read.optional(read.optional(parameters, 'Encryption'), 'Engine')?.text.trim() ?? ''
  return engine !== '' && guidOf(engine) !== noGuid
}

/** The storages in the order of the disk, without a gap. */
function readStorages(read: Reader, root: XmlElement): Storage[] {
  const elements = read.all(read.required(root, 'StorageData'), 'Storage')
  if (elements.length === 0) throw read.bad('<StorageData> has no <Storage>')
  const storages = elements.map((element): Storage => {
    const start = read.sectors(element, 'Start')
    const end = read.sectors(element, 'End')
    if (end <= start) throw read.bad(`a storage begins at sector ${start} and ends at sector ${end}`)
    const blockSize = read.optional(element, 'Blocksize') === undefined ? undefined : read.sectors(element, 'Blocksize')
    const images = new Map<string, StoredImage>()
    for (const image of read.all(element, 'Image')) {
      const stored = readImage(read, image)
      if (images.has(stored.guid)) throw read.bad(`a storage has two images of ${stored.guid}`)
      images.set(stored.guid, stored)
    }
    return { start: start * sectorLength, length: (end - start) * sectorLength, blockSize, images }
  })
  storages.sort((left, right) => left.start - right.start)
  let end = 0
  for (const { start, length } of storages) {
    if (start !== end)
      throw read.bad(
        start > end
          ? `no storage holds bytes ${end} to ${start} of the disk`
          : `two storages hold byte ${start} of the disk`,
      )
    end = start + length
  }
  return storages
}

function readImage(read: Reader, image: XmlElement): StoredImage {
  const type = read.required(image, 'Type').text.trim()
  if (type !== 'Compressed' && type !== 'Plain')
    throw unsupported('E_TYPE', `${read.name}: an image of the unknown type "${printable(type.slice(0, 40))}"`)
  const file = read.required(image, 'File').text.trim()
  if (file === '') throw read.bad('an image names no file')
  return { guid: read.guid(read.required(image, 'GUID')), type, file }
}

function readSnapshots(read: Reader, root: XmlElement): Pick<Descriptor, 'top' | 'shots'> {
  const element = read.optional(root, 'Snapshots')
  const shots = new Map<string, string | undefined>()
  for (const shot of read.all(element, 'Shot')) {
    const guid = read.guid(read.required(shot, 'GUID'))
    if (shots.has(guid)) throw read.bad(`there are two snapshots ${guid}`)
    const parent = read.guid(read.required(shot, 'ParentGUID'))
    shots.set(guid, parent === noGuid ? undefined : parent)
  }
  const stated = read.optional(element, 'TopGUID')
  const given = stated === undefined || stated.text.trim() === '' ? undefined : read.guid(stated)
  const top = given === undefined || given === noGuid ? defaultTop : given
  // A disk that never had a snapshot may list none.
  if (shots.size === 0) shots.set(top, undefined)
  if (!shots.has(top)) throw read.bad(`its newest state ${top} is not among its snapshots`)
  return { top, shots }
}

/**
 * A state of the disk and those it was made over, the newest first.
 * @throws ImageError corrupt E_DESCRIPTOR where one is missing, or they go in a circle.
 */
export function chainOf({ shots }: Pick<Descriptor, 'shots'>, newest: string, name: string): string[] {
  const chain: string[] = []
  for (let guid: string | undefined = newest; guid !== undefined; guid = shots.get(guid)) {
    if (chain.includes(guid)) throw corrupt('E_DESCRIPTOR', `${name}: its snapshots go in a circle at ${guid}`)
    if (!shots.has(guid)) throw corrupt('E_DESCRIPTOR', `${name}: the snapshot ${guid} is named and not listed`)
    if (chain.length >= longestChain)
      throw corrupt('E_DESCRIPTOR', `${name}: more than ${longestChain} snapshots lie on top of each other`)
    chain.push(guid)
  }
  return chain
}

/** As of parents (open.ts): each is a file that is held open. */
const longestChain = 255
