import type { HostPath } from '../../errors.js'

// Small files beside an image of a disk, which belong to it.

/** `disk.vhdx` → `disk.vhdx.vdisk.json`. */
export function imageRecordPath(imagePath: string): string {
  return `${imagePath}.vdisk.json`
}

/** `disk.vhdx` → `disk.vhdx.map`. */
export function salvageMapPath(imagePath: string): string {
  return `${imagePath}.map`
}

/** `disk.vhdx` → `disk.vhdx.blocks`. */
export function blocksPath(imagePath: string): string {
  return `${imagePath}.blocks`
}

/** The files that lie beside an image, and belong to it. */
export function companionsOf(path: HostPath): readonly HostPath[] {
  return [imageRecordPath(path), blocksPath(path), salvageMapPath(path)]
}
