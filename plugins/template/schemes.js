// The hook `vdisk:schemes` returns schemes: what addresses of another kind mean. This one has the disk in the address
// itself: `hexdata:41424344`. Real ones ask a server, or open an archive (see src/location/location.ts).

class HexLocation {
  scheme = 'hexdata'
  kind = 'export'
  // Read as raw unless --from names another format.
  format = 'raw'
  name = undefined

  constructor(address, id) {
    this.address = address
    this.label = address
    this.id = id
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

export default async function ({ vdisk }) {
  const { otherId, printable, usage } = await vdisk()
  return [
    {
      id: 'hexdata',
      title: 'a disk in its own address',
      matches: (address) => address.startsWith('hexdata:'),
      locate(address) {
        if (!/^hexdata:(?:[0-9a-f]{2})+$/i.test(address))
          throw usage('E_HEXDATA', `${printable(address)} is not hexdata: and pairs of hexadecimal digits`)
        return new HexLocation(address, otherId('hexdata', address.toLowerCase()))
      },
    },
  ]
}
