import { encodeTarHeader, tarBlock } from '../../binary/tar-header.js'

/** The user that QEMU has in KubeVirt's machines, and what it may do with the folder and the file of a disk. */
export const containerDisk = { user: 107, folderMode: 0o555, fileMode: 0o440 } as const

/** What a disk is called in KubeVirt's folder, by the format of its image. */
export function diskNameIn(format: string): string {
  return `disk/disk.${format === 'raw' ? 'img' : format}`
}

/**
 * What stands before the image in a layer: its folder and its name. The same for the same image: no time is in it.
 * @param size bytes of the image.
 */
export function archiveHead(name: string, size: number): Buffer {
  const owned = { time: 0, owner: containerDisk.user, group: containerDisk.user }
  return Buffer.concat([
    encodeTarHeader({ ...owned, name: Buffer.from('disk/'), size: 0, mode: containerDisk.folderMode, type: '5' }),
    encodeTarHeader({ ...owned, name: Buffer.from(name), size, mode: containerDisk.fileMode }),
  ])
}

/** What stands behind it. */
export function archiveTail(size: number): Buffer {
  return Buffer.alloc(((tarBlock - (size % tarBlock)) % tarBlock) + 2 * tarBlock)
}
