// The hook `vdisk:schemes`: `erased:4M` is a memory of that size in which every byte is FF.

const units = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }

class ErasedLocation {
  scheme = 'erased'
  kind = 'export'
  format = 'raw'
  name = undefined

  constructor(address, size, id) {
    this.address = address
    this.label = address
    this.size = size
    this.id = id
  }

  store() {
    const { label, size } = this
    return {
      name: label,
      size,
      growable: false,
      alignment: 1,
      zeroed: false,
      read: (_position, target) => target.fill(0xff),
      write: () => {
        throw new Error('erased: is only read')
      },
      truncate: () => undefined,
      flush: () => undefined,
      [Symbol.dispose]: () => undefined,
    }
  }

  sibling() {
    return undefined
  }

  siblings() {
    return []
  }
}

export default async function ({ vdisk }) {
  const { otherId, printable, usage } = await vdisk()
  return [
    {
      id: 'erased',
      title: 'an erased memory',
      matches: (address) => address.startsWith('erased:'),
      locate(address) {
        const [, digits, unit = ''] = /^erased:(\d{1,9})([kmg]?)$/i.exec(address) ?? []
        const size = Number(digits) * units[unit.toLowerCase()]
        if (!Number.isSafeInteger(size) || size === 0 || size % 512 !== 0)
          throw usage('E_ERASED', `${printable(address)} is not erased: and a size, for example erased:4M`)
        return new ErasedLocation(address, size, otherId('erased', String(size)))
      },
    },
  ]
}
