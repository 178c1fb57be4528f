// The hook `vdisk:schemes` returns schemes: what addresses of another kind mean. This one has the disk in the address
// itself: `hexdata:41424344`. Real ones ask a server, or open an archive (see src/location/location.ts).

class HexLocation {
  scheme = 'hexdata'
  kind = 'export'
  // Nobody says otherwise: then it is a raw disk.
  format = 'raw'
  name = undefined

  constructor(address) {
    this.address = address
    this.label = address
    this.id = address.toLowerCase()
    this.bytes = Buffer.from(address.slice('hexdata:'.length), 'hex')
  }

  store() {
    const { bytes } = this
    return {
      name: this.label,
      size: bytes.length,
      growable: false,
      alignment: 1,
      zeroed: false,
      read: (position, target) => target.set(bytes.subarray(position, position + target.length)),
      write: () => {
        throw new Error('hexdata: is only read')
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

export default async function () {
  return [
    {
      id: 'hexdata',
      title: 'a disk in its own address',
      matches: (address) => address.startsWith('hexdata:'),
      locate: (address) => new HexLocation(address),
    },
  ]
}
