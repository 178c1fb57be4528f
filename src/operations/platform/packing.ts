import { BytesSource } from '../../block/bytes-source.js'
import type { BlockSource } from '../../block/types.js'
import { containerDisk } from '../../location/oci/disk-archive.js'
import type { Platform } from '../../platforms/index.js'
import { tarSource, type ArchiveMember } from './tar.js'

/** What is packed: the bytes of the image, and what they are. */
export interface PackedImage {
  readonly image: BlockSource
  /** Format of the image, and bytes of its disk. */
  readonly format: string
  readonly capacity: number
  /** Seconds since 1970. */
  readonly time: number
}

type Kind = NonNullable<Platform['packing']>['kind']

const ownedByQemu = { owner: containerDisk.user, group: containerDisk.user }

const vagrantfile = `Vagrant.configure("2") do |config|
  config.vm.provider :libvirt do |libvirt|
    libvirt.driver = "kvm"
  end
end
`

const members: Readonly<Record<Kind, (packed: PackedImage) => readonly ArchiveMember[]>> = {
  gce: ({ image }) => [{ name: 'disk.raw', mode: 0o644, owner: 0, group: 0, content: image, sparse: true }],
  containerDisk: ({ image, format }) => [
    { name: 'disk/', mode: containerDisk.folderMode, ...ownedByQemu },
    { name: `disk/disk.${format}`, mode: containerDisk.fileMode, ...ownedByQemu, content: image },
  ],
  vagrant: ({ image, format, capacity }) => [
    text('metadata.json', JSON.stringify({ provider: 'libvirt', format, virtual_size: Math.ceil(capacity / 2 ** 30) })),
    text('Vagrantfile', vagrantfile),
    { name: 'box.img', mode: 0o644, owner: 0, group: 0, content: image },
  ],
}

/** The archive that a platform takes, with the image in it. */
export function packedArchive(kind: Kind, packed: PackedImage): BlockSource {
  return tarSource(members[kind](packed), packed.time)
}

function text(name: string, content: string): ArchiveMember {
  return { name, mode: 0o644, owner: 0, group: 0, content: new BytesSource(Buffer.from(content, 'utf8'), name) }
}
