import { createHash } from 'node:crypto'

/** Writes VMA archives of Proxmox VE from vma_spec.txt. Imports nothing of src/. Big-endian but for the blob buffer. */
export interface VmaRecipe {
  /** Disks by name, in the order of their ids from 1. */
  readonly disks: Readonly<Record<string, Buffer>>
  readonly config?: string
  /** The order in which clusters are written: an index below the count to another. Default: as they come. */
  readonly order?: (index: number, count: number) => number
  /** Clusters that are left out: `name` and number. */
  readonly without?: (name: string, cluster: number) => boolean
  /** Changes the header before its MD5 is made. */
  readonly header?: (bytes: Buffer) => void
  /** Changes the header of an extent before its MD5 is made. */
  readonly extent?: (bytes: Buffer, index: number) => void
  /** Clusters of one extent, at most 59. */
  readonly perExtent?: number
}

const cluster = 65536
const block = 4096
export const vmaUuid = Buffer.from('00112233445566778899aabbccddeeff', 'hex')

export const vmaConfig = [
  '#web server',
  'bios: ovmf',
  'cores: 2',
  'memory: 2048',
  'name: web',
  'net0: virtio=BC:24:11:00:00:01,bridge=vmbr0',
  'ostype: l26',
  'scsihw: virtio-scsi-single',
  'sockets: 2',
  '#qmdump#map:scsi0:drive-scsi0:local-lvm::',
  '',
].join('\n')

/** A header with the MD5 of its bytes, the sum's own taken as zeros. */
function sealed(bytes: Buffer, at: number): Buffer {
  bytes.fill(0, at, at + 16)
  createHash('md5').update(bytes).digest().copy(bytes, at)
  return bytes
}

export function vmaBytes(recipe: VmaRecipe): Buffer {
  const { disks, config = vmaConfig, order = (index: number) => index, without = () => false, perExtent = 59 } = recipe
  const parts: Buffer[] = [Buffer.alloc(1)]
  let length = 1
  const add = (text: string): number => {
    const bytes = Buffer.from(`${text}\0`, 'utf8')
    const size = Buffer.alloc(2)
    size.writeUInt16LE(bytes.length)
    const at = length
    parts.push(size, bytes)
    length += 2 + bytes.length
    return at
  }
  const header = Buffer.alloc(12288)
  header.write('VMA\0', 0, 'latin1')
  header.writeUInt32BE(1, 4)
  vmaUuid.copy(header, 8)
  header.writeBigInt64BE(1_700_000_000n, 24)
  if (config !== '') {
    header.writeUInt32BE(add('qemu-server.conf'), 2044)
    header.writeUInt32BE(add(config), 3068)
  }
  for (const [index, [name, content]] of Object.entries(disks).entries()) {
    const at = 4096 + (index + 1) * 32
    header.writeUInt32BE(add(name), at)
    header.writeBigUInt64BE(BigInt(content.length), at + 8)
  }
  header.writeUInt32BE(12288, 48)
  header.writeUInt32BE(length, 52)
  const blob = Buffer.concat([...parts, Buffer.alloc((512 - (length % 512)) % 512)])
  header.writeUInt32BE(12288 + blob.length, 56)
  const whole = Buffer.concat([header, blob])
  recipe.header?.(whole)
  return Buffer.concat([sealed(whole, 32), ...extents({ ...recipe, order, without, perExtent })])
}

function extents({ disks, order = (index: number) => index, without, perExtent = 59, extent }: VmaRecipe): Buffer[] {
  const all = Object.entries(disks).flatMap(([name, content], device) =>
    Array.from({ length: Math.ceil(content.length / cluster) }, (_, number) => ({ name, device, number, content })),
  )
  const chosen = all
    .map((_, index) => all[order(index, all.length)]!)
    .filter(({ name, number }) => !without?.(name, number))
  const written: Buffer[] = []
  for (let first = 0; first < chosen.length; first += perExtent) {
    const header = Buffer.alloc(512)
    header.write('VMAE', 'latin1')
    vmaUuid.copy(header, 8)
    const blocks: Buffer[] = []
    for (const [entry, { device, number, content }] of chosen.slice(first, first + perExtent).entries()) {
      let mask = 0
      for (let bit = 0; bit < 16; bit++) {
        const bytes = Buffer.alloc(block)
        bytes.set(content.subarray(number * cluster + bit * block, number * cluster + (bit + 1) * block))
        if (bytes.every((byte) => byte === 0)) continue
        mask |= 1 << bit
        blocks.push(bytes)
      }
      header.writeUInt16BE(mask, 40 + entry * 8)
      header.writeUInt8(device + 1, 40 + entry * 8 + 3)
      header.writeUInt32BE(number, 40 + entry * 8 + 4)
    }
    header.writeUInt16BE(blocks.length, 6)
    extent?.(header, first / perExtent)
    written.push(sealed(header, 24), ...blocks)
  }
  return written
}
