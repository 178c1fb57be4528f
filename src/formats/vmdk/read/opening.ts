import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, isImageError, printable, unsupported, type ImageError } from '../../../errors.js'
import type { FileReference, OpenContext } from '../../driver.js'
import {
  checkDescriptor,
  parseDescriptor,
  maximumDescriptor,
  type Descriptor,
  type ExtentLine,
} from '../format/descriptor.js'
import { beginningOf, type Beginning } from '../format/beginning.js'
import { findFooter } from '../format/footer.js'
import { embeddedDescriptor, readSparseHeader, sparseLayout, type SparseLayout } from '../format/sparse-layout.js'
import { scanStream, type FoundGrains } from '../format/stream-scan.js'
import { gdAtEnd, sectorLength, sparseHeader, type SparseHeaderValues } from '../format/structs.js'
import { CowdGrains } from './cowd-grains.js'
import { HostedGrains, type Grains } from './hosted-grains.js'
import { flatPart, longerFlatNotes, missingPart, sparsePart, zeroPart, type Part } from './parts.js'
import { SeSparseGrains } from './se-sparse-grains.js'
import { findDescriptor, readDescriptor } from './set.js'

/** A sparse file, opened. */
export interface SparseFile {
  readonly store: ByteStore
  readonly kind: 'hosted' | 'cowd' | 'seSparse'
  readonly grains: Grains
  /** Of a hosted one. */
  readonly layout?: SparseLayout
}

/** Everything that an image consists of. */
export interface OpenedParts {
  readonly descriptor: Descriptor
  /** The file that holds the descriptor, and where that is in it (bytes); undefined where it was made up. */
  readonly holder: { readonly store: ByteStore; readonly position: number; readonly space: number } | undefined
  readonly parts: readonly Part[]
  readonly sparse: readonly SparseFile[]
  readonly references: readonly FileReference[]
  /** Every store, to be closed. */
  readonly stores: readonly ByteStore[]
  readonly notes: readonly Note[]
  readonly unreadable: ImageError | undefined
}

function begins(store: ByteStore): Beginning {
  const head = new Uint8Array(Math.min(8, store.size))
  store.read(0, head)
  return beginningOf(head)
}

/** Opens the files of an image, one after the other. What it opened is closed when that fails. */
export class Opening {
  readonly #store: ByteStore
  readonly #context: OpenContext
  readonly #notes: Note[] = []
  readonly #note = (note: Note): void => void this.#notes.push(note)
  readonly #stores: ByteStore[] = []
  readonly #sparse: SparseFile[] = []
  readonly #references: FileReference[] = []
  readonly #byName = new Map<string, ByteStore>()
  #unreadable: ImageError | undefined

  constructor(store: ByteStore, context: OpenContext) {
    this.#store = store
    this.#context = context
  }

  /** @throws ImageError */
  open(): OpenedParts {
    try {
      return this.#open()
    } catch (error) {
      // The image's own store is closed by the caller.
      for (const store of this.#stores) if (store !== this.#store) store[Symbol.dispose]()
      throw error
    }
  }

  #open(): OpenedParts {
    const store = this.#store
    this.#stores.push(store)
    const beginning = begins(store)
    if (beginning === 'hosted' || beginning === 'unfinished') {
      const header = readSparseHeader(store)
      const place = embeddedDescriptor(header.values)
      if (place !== undefined && !this.#isBlank(place.position)) return this.#embedded(header, place)
    }
    if (beginning === 'other') {
      const descriptor = this.#ownDescriptor()
      if (descriptor !== undefined) return this.#assemble(descriptor, { store, position: 0, space: maximumDescriptor })
    }
    if (this.#context.options['alone'] === true) return this.#alone(beginning)
    const kinds = { hosted: 'one extent of a split disk', cowd: 'an ESX delta extent', seSparse: 'an SE sparse extent' }
    const kind = beginning in kinds ? kinds[beginning as keyof typeof kinds] : 'named as a flat extent'
    const found = findDescriptor(store, this.#context, kind)
    this.#stores.push(found.store)
    this.#note({
      code: 'W_EXTENT_GIVEN',
      message: `${store.name} is one extent of ${found.location.label}: the whole disk is read`,
    })
    const { name } = this.#context.self
    for (const { names } of found.descriptor.extents)
      for (const each of names)
        if (each === name || each === this.#context.self.behind?.name) this.#byName.set(each, store)
    return this.#assemble(found.descriptor, { store: found.store, position: 0, space: maximumDescriptor })
  }

  /** The descriptor that the file is; undefined where it is none. */
  #ownDescriptor(): Descriptor | undefined {
    const store = this.#store
    const head = new Uint8Array(Math.min(65536, store.size))
    store.read(0, head)
    const text = Buffer.from(head.buffer, 0, head.length).toString('latin1')
    if (!/^(?:\xef\xbb\xbf)?[\x20-\xff\t\r\n]*\0*$/.test(text.slice(0, 512).replace(/\0[^]*$/, ''))) return undefined
    if (!/version\s*=|createtype|^\s*# *disk *descriptor/im.test(text)) return undefined
    return readDescriptor(store)
  }

  /** QEMU leaves space for a descriptor in the extents of a split disk, too, and nothing in it. */
  #isBlank(position: number): boolean {
    if (position + sectorLength > this.#store.size) return false
    const bytes = new Uint8Array(sectorLength)
    this.#store.read(position, bytes)
    return bytes.every((byte) => byte === 0)
  }

  #embedded(
    header: { readonly values: SparseHeaderValues; readonly bytes: Uint8Array },
    { position, length }: { readonly position: number; readonly length: number },
  ): OpenedParts {
    const store = this.#store
    const end = Math.min(position + Math.min(length, maximumDescriptor), store.size)
    if (position < sectorLength || end <= position)
      throw corrupt('E_DESCRIPTOR', `${store.name}: its descriptor would lie at byte ${position} of ${store.size}`, {
        details: { position: 28, size: store.size },
      })
    const bytes = new Uint8Array(end - position)
    store.read(position, bytes)
    const descriptor = parseDescriptor(bytes, store.name)
    const holder = { store, position, space: end - position }
    if (header.values.capacity === 0n) return this.#assemble(descriptor, holder)
    checkDescriptor(descriptor, store.name)
    const [line, ...others] = descriptor.extents
    // The name in the line is that of the file when it was made; files are renamed.
    if (line === undefined || others.length > 0)
      throw unsupported(
        'E_TYPE',
        `${store.name}: its descriptor lists ${descriptor.extents.length} extents, and lies in one of them`,
      )
    const file = this.#hosted(store, header)
    const sectors = line.sectors * sectorLength
    const { capacity } = file.grains
    if (sectors !== capacity)
      this.#note({
        code: 'W_EXTENT_SIZE',
        message:
          `${store.name}: the descriptor says that the extent has ${sectors} bytes, its header ` +
          `${capacity}: the smaller ` +
          'counts',
      })
    const parts = [sparsePart({ line, start: 0 }, store, file.grains, Math.min(sectors, capacity))]
    return this.#result(descriptor, holder, parts)
  }

  /** What one extent has of the disk, as a disk of its own. */
  #alone(beginning: Beginning): OpenedParts {
    const store = this.#store
    if (beginning === 'other')
      throw unsupported('E_TYPE', `${store.name} is no sparse extent, which can be read alone`, {
        hint: 'Read a flat extent with --from raw.',
      })
    const { grains } = this.#sparseFile(store)
    const line: ExtentLine = {
      access: 'RW',
      sectors: Math.floor(grains.capacity / sectorLength),
      type: 'SPARSE',
      names: [],
      offset: 0,
      line: 0,
    }
    const descriptor = parseDescriptor(new Uint8Array(0), store.name)
    return this.#result({ ...descriptor, createType: 'extent', kind: 'extent' }, undefined, [
      sparsePart({ line, start: 0 }, store, grains, grains.capacity),
    ])
  }

  #assemble(descriptor: Descriptor, holder: OpenedParts['holder']): OpenedParts {
    checkDescriptor(descriptor, holder?.store.name ?? this.#store.name)
    let start = 0
    const parts: Part[] = []
    for (const line of descriptor.extents) {
      const part = this.#part({ line, start }, descriptor.extents.length === 1)
      parts.push(part)
      start += part.length
    }
    return this.#result(descriptor, holder, parts)
  }

  #result(descriptor: Descriptor, holder: OpenedParts['holder'], parts: readonly Part[]): OpenedParts {
    const { name } = this.#store
    if (descriptor.createType === '')
      this.#note({ code: 'W_DESCRIPTOR', message: `${name}: its descriptor does not say its type (createType)` })
    if (!(descriptor.version >= 1 && descriptor.version <= 4))
      this.#note({
        code: 'W_DESCRIPTOR_VERSION',
        message:
          `${name}: version ${printable(descriptor.values.get('version') ?? '')} of a descriptor is ` +
          `not known; it is read as version 1`,
      })
    for (const note of longerFlatNotes(parts)) this.#note(note)
    if (descriptor.ddb.has('consolidatedesttype'))
      this.#note({
        code: 'W_CONSOLIDATION',
        message: `${name}: a consolidation of snapshots was begun and not finished (ddb.consolidateDestType)`,
      })
    return {
      descriptor,
      holder,
      parts,
      sparse: this.#sparse,
      references: this.#references,
      stores: this.#stores,
      notes: this.#notes,
      unreadable: this.#unreadable,
    }
  }

  #part(place: { readonly line: ExtentLine; readonly start: number }, only: boolean): Part {
    const { line } = place
    const { name } = this.#store
    if (line.access === 'NOACCESS') {
      this.#note({
        code: 'W_NO_ACCESS',
        message:
          `${name}: line ${line.line} of the descriptor forbids access to ${line.sectors} sectors ` +
          `(NOACCESS): they read ` +
          'as zero',
      })
      return zeroPart(place)
    }
    if (line.type === 'ZERO' || line.sectors === 0) return zeroPart(place)
    const store = this.#file(line)
    if (store === undefined) return missingPart(place, name)
    if (line.type === 'FLAT' || line.type === 'VMFS') return flatPart(place, store)
    const file = this.#sparseFile(store)
    const { grains } = file
    const length = line.sectors * sectorLength
    if (grains.capacity === length) return sparsePart(place, store, grains, length)
    if (grains.capacity < length && !only)
      throw corrupt(
        'E_EXTENT_SIZE',
        `${store.name}: its header says that the extent has ${grains.capacity} bytes, line ${line.line} of the ` +
          `descriptor ${length}`,
      )
    this.#note({
      code: 'W_EXTENT_SIZE',
      message:
        `${store.name}: its header says that the extent has ${grains.capacity} bytes, line ${line.line} of the ` +
        `descriptor ${length}: the smaller counts`,
    })
    return sparsePart(place, store, grains, Math.min(length, grains.capacity))
  }

  /** The file of an extent, opened once. */
  #file({ names }: ExtentLine): ByteStore | undefined {
    for (const name of names) {
      const open = this.#byName.get(name)
      if (open !== undefined) return open
    }
    const [first = ''] = names
    this.#references.push({ role: 'extent', path: first })
    for (const [index, path] of names.entries()) {
      let store: ByteStore | undefined
      try {
        store = this.#context.openReference({ role: 'extent', path })
      } catch (error) {
        // Its name in another encoding may be there.
        if (!isImageError(error) || error.code !== 'E_REFERENCE_MISSING' || index + 1 === names.length) throw error
      }
      if (store === undefined) continue
      this.#stores.push(store)
      this.#byName.set(first, store)
      return store
    }
    return undefined
  }

  #sparseFile(store: ByteStore): SparseFile {
    const known = this.#sparse.find((file) => file.store === store)
    if (known !== undefined) return known
    switch (begins(store)) {
      case 'hosted':
      case 'unfinished':
        return this.#hosted(store, readSparseHeader(store))
      case 'cowd':
        return this.#keep({ store, kind: 'cowd', grains: new CowdGrains(store) })
      case 'seSparse':
        return this.#keep({ store, kind: 'seSparse', grains: new SeSparseGrains(store, this.#note) })
      case 'other':
        throw corrupt('E_NOT_VMDK', `${store.name} is to be a sparse extent, and does not begin as one`, {
          details: { position: 0 },
        })
    }
  }

  #keep(file: SparseFile): SparseFile {
    this.#sparse.push(file)
    return file
  }

  #hosted(store: ByteStore, header: { readonly values: SparseHeaderValues; readonly bytes: Uint8Array }): SparseFile {
    const { values } = header
    if (values.uncleanShutdown !== 0)
      this.#note({
        code: 'W_UNCLEAN',
        message: `${store.name} was not closed by what wrote it last; its tables are read as they are`,
      })
    let found: FoundGrains | undefined
    let layout: SparseLayout
    if (values.gdOffset === gdAtEnd) {
      const footer = findFooter(store)
      if (footer === undefined) {
        found = this.#withoutFooter(store, header)
        layout = sparseLayout(store, header, 0, false)
      } else {
        layout = sparseLayout(store, footer, footer.position)
        if (footer.behind > 0)
          this.#note({
            code: 'W_TRAILING_DATA',
            message: `${store.name}: ${footer.behind} bytes follow the end of the stream; they are no part of the disk`,
          })
      }
    } else layout = sparseLayout(store, header, 0)
    for (const note of layout.notes) this.#note(note)
    return this.#keep({ store, kind: 'hosted', grains: new HostedGrains(store, layout, this.#note, found), layout })
  }

  /** A stream that was cut off: its markers say where its grains are, if the user wants what is there. */
  #withoutFooter(store: ByteStore, { values }: { readonly values: SparseHeaderValues }): FoundGrains {
    const grainSize = Number(values.grainSize) * sectorLength
    const grains = Math.ceil((Number(values.capacity) * sectorLength) / grainSize)
    const start = Math.max(sparseHeader.size, Math.min(store.size, Number(values.overhead) * sectorLength))
    const wanted = this.#context.options['markers'] === true
    const valid = Number.isFinite(grains) && grainSize > 0 && Number.isInteger(Math.log2(grainSize))
    const found = scanStream(store, { start, grainSize, grains: wanted && valid ? grains : 0 })
    if (wanted) {
      this.#note({
        code: 'W_NO_FOOTER',
        message:
          `${store.name}: its footer is missing, the file was cut off: ${found.count} grains were ` +
          `found by their markers, ` +
          'and what followed them reads as zero',
      })
      return found
    }
    this.#unreadable = corrupt(
      'E_TRUNCATED',
      `${store.name}: the header says that a footer ends the file, and none is there: the file is incomplete`,
      {
        details: { size: store.size },
        hint: 'Copy it again; --from-option markers=true reads the grains that are there, and zeros behind them.',
      },
    )
    return found
  }
}
