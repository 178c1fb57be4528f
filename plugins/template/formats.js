// A plug-in is a package with the oclif hook `vdisk:formats`, which returns format drivers. The hook is given the
// running library as `vdisk()`: what the package `vdisk` exports, without installing it a second time.
import codec from './codec.js'
import { layoutOf, magic } from './layout.js'
import { hexDisk } from './reader.js'
import { HexWriter } from './writer.js'

export default async function ({ vdisk }) {
  const library = await vdisk()
  const layout = layoutOf(library)
  return [
    {
      apiVersion: 1,
      id: 'hexdisk',
      title: 'Disk with its tables in hexadecimal (example)',
      extensions: ['hexdisk'],
      subformats: [{ id: 'blocks', summary: 'blocks of 64 KiB, stored where they are not zero' }],
      features: { parents: 'none', snapshots: false, compression: [codec.id], sectorSizes: [512] },
      // Codecs are handed over with the driver that uses them.
      codecs: [codec],
      options: [
        {
          name: 'compress',
          type: 'choice',
          choices: ['none', codec.id],
          default: 'none',
          summary: 'compress the data of the target',
        },
      ],
      probe: (head) => (Buffer.from(head.subarray(0, magic.length)).toString('latin1') === magic ? 'certain' : 'no'),
      open: (store) => hexDisk(store, library, layout),
      create: (store, { capacity }, { compress }) =>
        new HexWriter(store, capacity, layout, compress === codec.id ? codec.id : undefined),
    },
  ]
}
