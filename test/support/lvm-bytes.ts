/** Physical volumes of LVM2 (lib/format_text/layout.h) with any text, and right checksums. Independent of src/. */
import { crc32 } from 'node:zlib'

const volumeSize = 4194304
const places = { label: 512, header: 544, area: 4096, text: 4608 } as const

/** LVM begins its CRC-32 with a number of its own, and does not invert it at the end. */
function lvmSum(bytes: Uint8Array): number {
  return 0xffffffff - crc32(bytes, 0xffffffff - 0xf597a6cf)
}

/** A physical volume of 4 MiB with a text of one's own. */
export function physicalVolume(text: string): Buffer {
  const bytes = Buffer.alloc(volumeSize)
  bytes.write('LABELONE', places.label)
  bytes.writeBigUInt64LE(1n, 520)
  bytes.writeUInt32LE(32, 532)
  bytes.write('LVM2 001', 536)
  bytes.write('a'.repeat(32), places.header)
  bytes.writeBigUInt64LE(BigInt(bytes.length), 576)
  bytes.writeBigUInt64LE(1048576n, 584)
  bytes.writeBigUInt64LE(BigInt(places.area), 616)
  bytes.writeBigUInt64LE(1044480n, 624)
  bytes.write(' LVM2 x[5A%r0N*>', 4100)
  bytes.writeUInt32LE(1, 4116)
  bytes.writeBigUInt64LE(BigInt(places.area), 4120)
  bytes.writeBigUInt64LE(1044480n, 4128)
  bytes.writeBigUInt64LE(BigInt(places.text - places.area), 4136)
  const content = Buffer.from(`${text}\0`)
  bytes.writeBigUInt64LE(BigInt(content.length), 4144)
  content.copy(bytes, places.text)
  sealPhysicalVolume(bytes)
  return bytes
}

/**
 * Puts right checksums over the text, the area and the label, as far as they are where `physicalVolume` has them.
 * @returns their positions.
 */
export function sealPhysicalVolume(bytes: Buffer): readonly number[] {
  if (bytes.length < places.text || bytes.toString('latin1', places.label, places.label + 8) !== 'LABELONE') return []
  const length = Number(bytes.readBigUInt64LE(4144) % BigInt(bytes.length))
  bytes.writeUInt32LE(lvmSum(bytes.subarray(places.text, places.text + length)), 4152)
  bytes.writeUInt32LE(lvmSum(bytes.subarray(4100, places.text)), places.area)
  bytes.writeUInt32LE(lvmSum(bytes.subarray(532, 1024)), 528)
  return [4152, places.area, 528]
}

const uuid = 'aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa'
const groupText = (volumes: string, extra = ''): string =>
  `vg {\nid = "x"\nseqno = 1\nextent_size = 128\n${extra}physical_volumes {\npv0 {\nid = "${uuid}"\npe_start = 2048\n` +
  `pe_count = 48\n}\n}\nlogical_volumes {\n${volumes}\n}\n}\n# comment\n`
export const linearSegment = (start: number, count: number, extent: number | string, more = ''): string =>
  `segment${start + 1} {\nstart_extent = ${start}\nextent_count = ${count}\ntype = "striped"\nstripe_count = 1\n` +
  `stripes = ["pv0", ${extent}]\n${more}}\n`
export const rootVolume = (segments: string): string =>
  groupText(`root {\nid="y"\nstatus = ["VISIBLE"]\n${segments}}\n`)
