// A plugin is a package with an oclif hook `vdisk:formats` that returns format drivers.
// Real plugins import { ExtentReader, corrupt } from 'vdisk'; this one needs nothing, so that it can be linked from anywhere.

const magic = 'HEXDISK1\n'

/** A disk in hexadecimal: the magic, then two digits a byte. Read at once, which only a toy may do. */
class HexImage {
  format = 'hexdisk'
  subformat = 'plain'
  notes = []
  sectorSize = 512
  grain = 512

  constructor(store) {
    this.store = store
    const text = new Uint8Array(store.size)
    store.read(0, text)
    this.bytes = Buffer.from(Buffer.from(text).toString('latin1').slice(magic.length).trimEnd(), 'hex')
    this.capacity = this.bytes.length
  }

  // The bytes do not stand in the file as they are, so they are given as one unit of a codec of our own.
  extentAt(offset, limit) {
    const length = Math.min(limit, this.capacity - offset)
    const bytes = this.bytes
    return {
      kind: 'packed',
      offset,
      length,
      store: this.store,
      position: magic.length,
      storedLength: 2 * this.capacity,
      unitOffset: 0,
      unitLength: this.capacity,
      codec: { id: 'hexdisk', decode: (_stored, target) => target.set(bytes) },
    }
  }

  read(offset, target) {
    if (offset < 0 || offset + target.length > this.capacity) throw new RangeError('outside the disk')
    target.set(this.bytes.subarray(offset, offset + target.length))
  }

  describe() {
    return [{ title: 'Hexdisk', facts: [{ name: 'digits', value: 2 * this.capacity, unit: 'count' }] }]
  }

  [Symbol.dispose]() {
    this.store[Symbol.dispose]()
  }
}

const hexdisk = {
  apiVersion: 1,
  id: 'hexdisk',
  title: 'Disk in hexadecimal (example)',
  extensions: ['hexdisk'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  probe: (head) => (Buffer.from(head.subarray(0, magic.length)).toString('latin1') === magic ? 'certain' : 'no'),
  open: (store) => new HexImage(store),
}

export default async function () {
  return [hexdisk]
}
