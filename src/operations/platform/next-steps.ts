import type { Platform } from '../../platforms/index.js'
import { absolute, lastPart } from '../../sys/host-path.js'
import { shellWord } from '../../sys/shell-word.js'

/** A file that was made for a platform. Sizes are bytes. */
export interface MadeFile {
  /** Undefined: it went to a stream. */
  readonly path: string | undefined
  readonly format: string
  readonly capacity: number
  readonly sectorSize: number
  /** Of the file; undefined: it is not known, as of a stream or a dry run. */
  readonly size?: number
}

/** What KubeVirt keeps of a volume for its filesystem. */
const claimShare = 0.945

const formatNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  aws: { vhd: 'VHD', vhdx: 'VHDX', vmdk: 'VMDK', raw: 'RAW' },
  libvirt: { vhd: 'vpc' },
  openstack: { vhd: 'vhd' },
}

/** The commands and steps that follow, with the file and its sizes in them. */
export function nextSteps({ id, next }: Pick<Platform, 'id' | 'next'>, made: MadeFile): string[] {
  const { path, format, capacity, sectorSize, size } = made
  const stream = path === undefined
  const file = stream ? 'disk' : lastPart(path)
  const name = file.replace(/\.(tar\.gz|tgz|tar|[A-Za-z0-9]{1,5})$/, '').replace(/[^\w.-]/g, '-') || 'disk'
  const values: Readonly<Record<string, string>> = {
    file: stream ? 'FILE' : shellWord(path),
    path: stream ? 'FILE' : xmlText(absolute(path)),
    json: JSON.stringify(stream ? 'FILE' : absolute(path)),
    name,
    bytes: String(capacity),
    fileBytes: String(size ?? (format === 'vhd' ? capacity + 512 : capacity)),
    GiB: String(Math.ceil(capacity / 2 ** 30)),
    format: formatNames[id.split('-')[0] ?? '']?.[format] ?? format,
    qemuSectors: sectorSize === 512 ? '' : qemuSectors(sectorSize),
    libvirtSectors:
      sectorSize === 512 ? '' : `<blockio logical_block_size='${sectorSize}' physical_block_size='${sectorSize}'/>`,
    claim: String(Math.ceil(capacity / claimShare)),
  }
  return next.map((text) => text.replace(/\{(\w+)\}/g, (whole, key: string) => values[key] ?? whole))
}

/** What QEMU gives its virtio disks: images do not record their sectors. */
function qemuSectors(sectorSize: number): string {
  return ['physical', 'logical'].map((kind) => ` -global virtio-blk-device.${kind}_block_size=${sectorSize}`).join('')
}

function xmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll("'", '&apos;')
}
