import { viewOf } from '../../binary/integers.js'

/**
 * What turns the addresses of branches back (BCJ), as they were before xz made them absolute so that they compress
 * better. `convert` works on the start of `bytes`, which stands at `position` of the content, and gives how many bytes
 * are done: the last few can need what follows.
 */
interface BranchFilter {
  /** Positions of instructions are its multiples. */
  readonly alignment: number
  readonly start: () => (bytes: Uint8Array, position: number) => number
}

/** A filter for instructions of one length at multiples of it, each judged alone. */
function each(
  alignment: number,
  length: number,
  convert: (view: DataView, at: number, position: number) => boolean,
): BranchFilter {
  return {
    alignment,
    start: () => (bytes, position) => {
      const view = viewOf(bytes)
      let at = 0
      // What was converted is not the start of the next instruction.
      for (; at + length <= bytes.length; at += alignment)
        if (convert(view, at, position + at) && alignment < length) at += length - alignment
      return at
    },
  }
}

const arm = each(4, 4, (view, at, position) => {
  const word = view.getUint32(at, true)
  if (word >>> 24 !== 0xeb) return false
  const target = ((word & 0xffffff) - ((position + 8) >>> 2)) & 0xffffff
  view.setUint32(at, (0xeb000000 | target) >>> 0, true)
  return true
})

const armThumb = each(2, 4, (view, at, position) => {
  const [first, second] = [view.getUint16(at, true), view.getUint16(at + 2, true)]
  if ((first & 0xf800) !== 0xf000 || (second & 0xf800) !== 0xf800) return false
  const target = (((first & 0x7ff) << 11) | (second & 0x7ff)) - ((position + 4) >>> 1)
  view.setUint16(at, 0xf000 | ((target >>> 11) & 0x7ff), true)
  view.setUint16(at + 2, 0xf800 | (target & 0x7ff), true)
  return true
})

const arm64 = each(4, 4, (view, at, position) => {
  const word = view.getUint32(at, true)
  if (word >>> 26 === 0x25) {
    view.setUint32(at, (0x94000000 | ((word - (position >>> 2)) & 0x03ffffff)) >>> 0, true)
    return true
  }
  if ((word & 0x9f000000) >>> 0 !== 0x90000000) return false
  const page = ((word >>> 29) & 3) | ((word >>> 3) & 0x1ffffc)
  if (((page + 0x20000) & 0x1c0000) !== 0) return false
  const target = (page - (position >>> 12)) | 0
  const low = (word & 0x9000001f) | ((target & 3) << 29) | ((target & 0x3fffc) << 3)
  view.setUint32(at, (low | (-(target & 0x20000) & 0xe00000)) >>> 0, true)
  return true
})

const powerPc = each(4, 4, (view, at, position) => {
  const word = view.getUint32(at)
  if (word >>> 26 !== 0x12 || (word & 3) !== 1) return false
  view.setUint32(at, (0x48000001 | (((word & 0x3fffffc) - position) & 0x3fffffc)) >>> 0)
  return true
})

const sparc = each(4, 4, (view, at, position) => {
  const word = view.getUint32(at)
  const top = word >>> 22
  if (top !== 0x100 && top !== 0x1ff) return false
  const target = (((word << 2) >>> 0) - position) >>> 2
  const sign = -((target >>> 22) & 1) << 22
  view.setUint32(at, ((sign & 0x3fffffff) | (target & 0x3fffff) | 0x40000000) >>> 0)
  return true
})

/** Which of the three slots of a bundle branch, by its template. */
const branchSlots = [16, 17, 24, 25, 28, 29]

function slotsOf(template: number): number {
  if (branchSlots.includes(template)) return 4
  return template === 18 || template === 19 ? 6 : template === 22 || template === 23 ? 7 : 0
}

const itanium = each(16, 16, (view, at, position) => {
  const slots = slotsOf(view.getUint8(at) & 31)
  for (let slot = 0; slot < 3; slot++) {
    if (((slots >> slot) & 1) === 0) continue
    const bit = 5 + slot * 41
    const place = at + (bit >> 3)
    const shift = BigInt(bit & 7)
    // Six bytes: an instruction of 41 bits and what stands around it.
    const low = view.getUint32(place, true)
    const high = view.getUint16(place + 4, true)
    const word = (BigInt(high) << 32n) | BigInt(low)
    const instruction = word >> shift
    if (((instruction >> 37n) & 15n) !== 5n || ((instruction >> 9n) & 7n) !== 0n) continue
    const source = Number((instruction >> 13n) & 0xfffffn) | (Number((instruction >> 36n) & 1n) << 20)
    const target = BigInt((((source << 4) >>> 0) - position) >>> 4)
    const changed = (instruction & ~(0x8fffffn << 13n)) | ((target & 0xfffffn) << 13n) | ((target & 0x100000n) << 16n)
    const result = (word & ((1n << shift) - 1n)) | (changed << shift)
    view.setUint32(place, Number(result & 0xffffffffn), true)
    view.setUint16(place + 4, Number((result >> 32n) & 0xffffn), true)
  }
  return true
})

const maskAllowed = [true, true, true, false, true, false, false, false]
const maskToBits = [0, 1, 2, 2, 3, 3, 3, 3]
const isSignByte = (byte: number | undefined): boolean => byte === 0 || byte === 255

/** CALL and JMP: what stands near one, and could be another, decides whether it was converted. */
class X86 {
  #mask = 0
  /** Where the last E8h or E9h stood. */
  #last = -5

  convert(bytes: Uint8Array, position: number): number {
    const view = viewOf(bytes)
    this.#last = Math.max(this.#last, position - 5)
    let at = 0
    while (at + 5 <= bytes.length) {
      const byte = bytes[at]
      if (byte !== 0xe8 && byte !== 0xe9) {
        at++
        continue
      }
      const apart = position + at - this.#last
      this.#last = position + at
      if (apart > 5) this.#mask = 0
      else for (let step = 0; step < apart; step++) this.#mask = (this.#mask & 0x77) << 1
      const top = bytes[at + 4]
      const near = this.#mask >>> 1
      if (isSignByte(top) && maskAllowed[near & 7] === true && near < 16) {
        const target = this.#target(view.getUint32(at + 1, true), position + at + 5)
        view.setUint32(at + 1, ((target & 0xffffff) | (-((target >>> 24) & 1) << 24)) >>> 0, true)
        at += 5
        this.#mask = 0
      } else {
        at++
        this.#mask |= isSignByte(top) ? 0x11 : 1
      }
    }
    return at
  }

  #target(source: number, next: number): number {
    for (;;) {
      const target = (source - next) >>> 0
      if (this.#mask === 0) return target
      const bits = maskToBits[this.#mask >>> 1] ?? 0
      if (!isSignByte((target >>> (24 - bits * 8)) & 255)) return target
      source = (target ^ (2 ** (32 - bits * 8) - 1)) >>> 0
    }
  }
}

const x86: BranchFilter = {
  alignment: 1,
  start: () => {
    const filter = new X86()
    return (bytes, position) => filter.convert(bytes, position)
  },
}

/** By their ids (xz-file-format 5.3.2). */
const branchFilters: Readonly<Record<number, BranchFilter>> = {
  4: x86,
  5: powerPc,
  6: itanium,
  7: arm,
  8: armThumb,
  9: sparc,
  10: arm64,
}
const deltaId = 3

/** A filter that undoes what xz did before it compressed. */
export type Unfiltering = (pieces: Iterable<Uint8Array>) => Generator<Uint8Array>

/**
 * The filter with an id. @returns undefined for one that is not known; `impossible` where its properties cannot be.
 */
export function unfilteringOf(id: number, properties: Uint8Array): Unfiltering | 'impossible' | undefined {
  if (id === deltaId) {
    const [distance] = properties
    return properties.length !== 1 || distance === undefined ? 'impossible' : (pieces) => undelta(pieces, distance + 1)
  }
  const filter = branchFilters[id]
  if (filter === undefined) return undefined
  if (properties.length !== 0 && properties.length !== 4) return 'impossible'
  const start = properties.length === 0 ? 0 : viewOf(properties).getUint32(0, true)
  return start % filter.alignment !== 0 ? 'impossible' : (pieces) => unbranch(pieces, filter, start)
}

/** Each byte is what it differs by from the one `distance` before it (5.3.3). */
function* undelta(pieces: Iterable<Uint8Array>, distance: number): Generator<Uint8Array> {
  const before = new Uint8Array(distance)
  let place = 0
  for (const piece of pieces) {
    const plain = Uint8Array.from(piece)
    for (let at = 0; at < plain.length; at++) {
      const byte = ((plain[at] ?? 0) + (before[place] ?? 0)) & 255
      plain[at] = byte
      before[place] = byte
      place = place + 1 === distance ? 0 : place + 1
    }
    yield plain
  }
}

function* unbranch(pieces: Iterable<Uint8Array>, { start }: BranchFilter, first: number): Generator<Uint8Array> {
  const convert = start()
  let position = first
  let rest = new Uint8Array(0)
  for (const piece of pieces) {
    const bytes = new Uint8Array(rest.length + piece.length)
    bytes.set(rest)
    bytes.set(piece, rest.length)
    const done = convert(bytes, position)
    position += done
    rest = bytes.slice(done)
    if (done > 0) yield bytes.subarray(0, done)
  }
  // What is shorter than an instruction is none.
  if (rest.length > 0) yield rest
}
