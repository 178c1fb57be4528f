import { viewOf } from '../../../binary/integers.js'
import type { BlockSource } from '../../../block/types.js'
import type { ByteRun } from '../../../filesystem/types.js'
import { grubCoreSector, isGrubCore } from './code.js'

/** The list of the rest of GRUB stands at the end of its first sector, from its last entry to its first. */
const lastEntry = 500
const entryLength = 12
/** GRUB has at most this many sectors; what says more is no list. */
const mostSectors = 4096

/**
 * Where GRUB's core image lies on a disk, as its boot code and the list in its own first sector say (grub-core/boot/
 * i386/pc/diskboot.S): behind the table, in a BIOS boot partition, or anywhere else. Bytes of the disk, in no order.
 */
export function grubCoreRuns(disk: BlockSource, sectorSize: number): readonly ByteRun[] {
  if (disk.capacity < 1024) return []
  const sector = new Uint8Array(512)
  disk.read(0, sector)
  const first = grubCoreSector(sector)
  if (first === 0n || (first + 1n) * BigInt(sectorSize) > BigInt(disk.capacity)) return []
  const position = Number(first) * sectorSize
  disk.read(position, sector)
  if (!isGrubCore(sector)) return []
  const runs: ByteRun[] = [{ offset: position, length: sectorSize }]
  const view = viewOf(sector)
  for (let at = lastEntry; at >= entryLength; at -= entryLength) {
    const start = view.getBigUint64(at, true)
    const count = view.getUint16(at + 8, true)
    if (count === 0) break
    if (count > mostSectors || (start + BigInt(count)) * BigInt(sectorSize) > BigInt(disk.capacity)) break
    runs.push({ offset: Number(start) * sectorSize, length: count * sectorSize })
  }
  return runs
}
