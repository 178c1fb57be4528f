import { createHash } from 'node:crypto'
import { tarBytes, type TarEntry } from './ova-bytes.js'

/** Writes exports of XenServer and XCP-ng, as xen-api and xva-img lay them out. Imports nothing of src/. */
export interface XvaRecipe {
  readonly disks: Readonly<Record<string, Buffer>>
  /** Makes the checksum members; default SHA-1 under `.checksum`. */
  readonly sum?: 'checksum' | 'xxhash' | 'none'
  readonly xxhash?: (bytes: Buffer) => string
  readonly text?: (text: string) => string
  /** Changes the members before they are written; all but the description. */
  readonly entries?: (entries: TarEntry[]) => TarEntry[]
  readonly end?: boolean
}

const piece = 1048576
const member = (name: string, value: string): string => `<member><name>${name}</name><value>${value}</value></member>`
const struct = (...members: readonly string[]): string => `<struct>${members.join('')}</struct>`
const object = (kind: string, id: string, ...facts: readonly string[]): string =>
  `<value>${struct(member('class', kind), member('id', id), member('snapshot', struct(...facts)))}</value>`

export function xvaText(disks: Readonly<Record<string, Buffer>>): string {
  const objects = Object.entries(disks).flatMap(([label, content], index) => [
    object(
      'VBD',
      `Ref:${10 + index}`,
      member('type', 'Disk'),
      member('VDI', `Ref:${20 + index}`),
      member('userdevice', String(index)),
    ),
    object('VDI', `Ref:${20 + index}`, member('name_label', label), member('virtual_size', String(content.length))),
  ])
  const machine = object(
    'VM',
    'Ref:1',
    member('name_label', 'db &amp; cache'),
    member('VCPUs_max', '4'),
    member('memory_static_max', '4294967296'),
    member('HVM_boot_params', struct(member('firmware', 'uefi'), member('order', 'cd'))),
  )
  const disc = object('VBD', 'Ref:9', member('type', 'CD'), member('VDI', 'Ref:8'))
  const iso = object('VDI', 'Ref:8', member('name_label', 'tools.iso'), member('virtual_size', '1'))
  return `<value>${struct(
    member('version', struct(member('hostname', 'xen'))),
    member('objects', `<array><data>${[machine, disc, iso, ...objects].join('')}</data></array>`),
  )}</value>`
}

export function xvaBytes({ disks, sum = 'checksum', xxhash, text, entries, end }: XvaRecipe): Buffer {
  const pieces = Object.values(disks).flatMap((content, index) => {
    const count = Math.ceil(content.length / piece)
    return Array.from({ length: count }, (_, number) => number).flatMap((number): TarEntry[] => {
      const bytes = content.subarray(number * piece, (number + 1) * piece)
      const isEdge = number === 0 || number === count - 1
      if (!isEdge && bytes.every((byte) => byte === 0)) return []
      const name = `Ref:${20 + index}/${String(number).padStart(8, '0')}`
      if (sum === 'none') return [{ name, bytes }]
      const digest = sum === 'checksum' ? createHash('sha1').update(bytes).digest('hex') : (xxhash?.(bytes) ?? '')
      return [
        { name, bytes },
        { name: `${name}.${sum}`, bytes: Buffer.from(digest) },
      ]
    })
  })
  const written = xvaText(disks)
  return tarBytes(
    [{ name: 'ova.xml', bytes: Buffer.from(text?.(written) ?? written) }, ...(entries?.(pieces) ?? pieces)],
    end,
  )
}
