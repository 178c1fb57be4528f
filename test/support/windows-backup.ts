import fs from 'node:fs'
import { join } from 'node:path'
import { run } from './tools.js'

/** A volume of a machine, and what its virtual disk records of it. Positions and lengths are bytes. */
export interface BackedVolume {
  readonly guid: string
  readonly point: string
  readonly start: number
  readonly content: Buffer
  /** In the MBR of its virtual disk. */
  readonly type: number
  readonly active?: boolean
}

/**
 * Writes a folder as Windows' own backup lays it out: a virtual disk of the whole disk's size for each volume, which
 * holds that volume alone at its own place, under an MBR; and the files beside them.
 */
export function windowsBackup(
  folder: string,
  capacity: number,
  volumes: readonly BackedVolume[],
  format: 'vhd' | 'vhdx' = 'vhdx',
  signature = 0x12345678,
): string {
  const backup = join(folder, 'WindowsImageBackup', 'DESKTOP', 'Backup 2026-11-30 001436')
  fs.mkdirSync(backup, { recursive: true })
  fs.mkdirSync(join(backup, '..', 'Catalog'), { recursive: true })
  fs.writeFileSync(join(backup, '..', 'Catalog', 'GlobalCatalog'), Buffer.alloc(4096, 1))
  fs.writeFileSync(join(backup, '..', 'MediaId'), Buffer.alloc(8, 2))
  for (const { guid, start, content, type, active } of volumes) {
    const raw = join(folder, `${guid}.raw`)
    const sector = Buffer.alloc(512)
    sector.write('boot code', 0, 'latin1')
    sector.writeUInt32LE(signature, 440)
    sector.writeUInt8(active === true ? 0x80 : 0, 446)
    sector.writeUInt8(type, 450)
    sector.writeUInt32LE(start / 512, 454)
    sector.writeUInt32LE(content.length / 512, 458)
    sector.writeUInt16LE(0xaa55, 510)
    const descriptor = fs.openSync(raw, 'w')
    fs.ftruncateSync(descriptor, capacity)
    fs.writeSync(descriptor, sector, 0, 512, 0)
    fs.writeSync(descriptor, content, 0, content.length, start)
    fs.ftruncateSync(descriptor, capacity)
    fs.closeSync(descriptor)
    const options = format === 'vhdx' ? [] : ['-o', 'force_size=on']
    const kind = format === 'vhdx' ? 'vhdx' : 'vpc'
    run('qemu-img', 'convert', '-O', kind, ...options, raw, join(backup, `${guid}.${format}`))
    fs.rmSync(raw)
  }
  const xml =
    '<?xml version="1.0" encoding="utf-16"?>\r\n<BackupSpecs><FileSpecs>' +
    volumes
      .map(({ guid, point }) => `<Volume Name="\\\\?\\Volume{${guid}}\\" AccessPath="${point}" Label=""></Volume>`)
      .join('') +
    '</FileSpecs></BackupSpecs>'
  fs.writeFileSync(join(backup, 'BackupSpecs.xml'), Buffer.from(`\ufeff${xml}`, 'utf16le'))
  fs.writeFileSync(join(backup, 'x_Components.xml'), '<components/>')
  return backup
}
