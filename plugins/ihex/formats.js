// The hook `vdisk:formats`: Intel HEX as a format that is read.
import { dataRecords, longestFile } from './records.js'

const erased = 0xff
const sector = 512
/** Bytes of the largest memory that is put together: its content is held. */
const largest = 256 * 2 ** 20

export default async function ({ vdisk }) {
  const library = await vdisk()
  return [
    {
      apiVersion: 1,
      id: 'ihex',
      title: 'Intel HEX',
      extensions: ['hex', 'ihex'],
      subformats: [],
      features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [sector] },
      options: [],
      probe: (head) =>
        /^:[0-9a-f]{10,}\r?\n:[0-9a-f]{10}/i.test(Buffer.from(head.subarray(0, 1100)).toString('latin1'))
          ? 'certain'
          : 'no',
      open: (store) => ihexImage(store, library),
    },
  ]
}

function ihexImage(store, { corrupt, unsupported, roundUp, ExtentReader, MemoryStore }) {
  const fail = (what, position) =>
    corrupt('E_HEADER', `${store.name}: ${what} (byte ${position})`, { details: { position } })
  if (store.size > longestFile)
    throw unsupported('E_TOO_LARGE', `${store.name}: Intel HEX files over ${longestFile} bytes are not read`)
  const text = new Uint8Array(store.size)
  store.read(0, text)
  const records = [...dataRecords(Buffer.from(text).toString('latin1'), fail)]
  const end = records.reduce((most, { address, bytes }) => Math.max(most, address + bytes.length), 0)
  if (end === 0) throw fail('no record fills anything', 0)
  const capacity = roundUp(end, sector)
  if (capacity > largest)
    throw unsupported('E_TOO_LARGE', `${store.name}: it fills addresses up to ${end}; up to ${largest} are read`)
  const content = new Uint8Array(capacity).fill(erased)
  for (const { address, bytes } of records) content.set(bytes, address)
  const memory = new MemoryStore(content, store.name)
  const image = {
    format: 'ihex',
    subformat: 'text',
    notes: [],
    capacity,
    sectorSize: sector,
    grain: sector,
    extentAt: (offset, limit) => ({
      kind: 'data',
      offset,
      length: Math.min(limit, capacity - offset),
      store: memory,
      position: offset,
    }),
    read: (offset, target) => reader.read(offset, target),
    describe: () => [
      { title: 'Intel HEX', facts: [{ name: 'records', value: records.length, unit: 'count', key: true }] },
    ],
    [Symbol.dispose]: () => store[Symbol.dispose](),
  }
  const reader = new ExtentReader(image)
  return image
}
