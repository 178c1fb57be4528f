import { viewOf } from '../../binary/integers.js'
import type { BlockSource, Note } from '../../block/types.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { Partition } from '../../partition/index.js'

/**
 * Names at byte 3 of boot sectors that say how many sectors lie before their partition; of FAT the name is anything.
 */
const hiddenSectors = 28

/**
 * What is not as before for a partition that moves to another place, or to a disk with other sectors: it is reported,
 * its content is not changed.
 * @param start where it is to start, in bytes.
 */
export function movedNotes(
  volume: BlockSource,
  { start, sectorSize, number }: { readonly start: number; readonly sectorSize: number; readonly number: number },
): Note[] {
  const notes = sectorNotes(volume, { sectorSize, number })
  for (const { type, title } of identifyFilesystems(volume)) {
    if (type !== 'ntfs' && type !== 'vfat') continue
    const boot = new Uint8Array(512)
    volume.read(0, boot)
    const recorded = viewOf(boot).getUint32(hiddenSectors, true)
    if (recorded !== 0 && recorded !== start / sectorSize) {
      notes.push({
        code: 'W_HIDDEN_SECTORS',
        message:
          `the boot sector of the ${title} in partition ${number} says that it starts at sector ${recorded}, ` +
          `and it starts at ${start / sectorSize}: systems that boot from it by BIOS go by that`,
      })
    }
  }
  return notes
}

/**
 * What systems do not mount on a disk with larger sectors than it counts in.
 * @param number of its partition; left out: it takes the whole disk.
 */
export function sectorNotes(
  volume: BlockSource,
  { sectorSize, number }: { readonly sectorSize: number; readonly number?: number },
): Note[] {
  return identifyFilesystems(volume).flatMap(({ kind, type, title, facts, blockSize }) => {
    const recorded = facts.find(({ name }) => name === 'sectorSize')?.value
    const isExt = /^ext[234]$/.test(type)
    const counted = isExt ? blockSize : recorded
    // What is opened before it is mounted (LUKS) counts as it likes.
    if (kind === 'container' || typeof counted !== 'number' || counted >= sectorSize) return []
    return [
      {
        code: 'W_FS_SECTOR_SIZE',
        message:
          `the ${title}${number === undefined ? '' : ` in partition ${number}`} counts in ` +
          `${isExt ? 'blocks' : 'sectors'} of ${counted} bytes: systems do not mount it on a disk with sectors of ` +
          `${sectorSize}`,
      },
    ]
  })
}

/** How much of a partition its content leaves over. Bytes. */
export interface Slack {
  /** Behind the image that was put in. */
  readonly behindImage: number
  /** The filesystem in it, and what it leaves of the partition; undefined where none is known. */
  readonly filesystem?: { readonly title: string; readonly size: number; readonly unused: number }
}

export function slackOf(content: BlockSource, { length }: Pick<Partition, 'length'>): Slack {
  const found = identifyFilesystems(content)
  const [filesystem] = found
  const behindImage = length - content.capacity
  if (filesystem?.size === undefined || found.length > 1) return { behindImage }
  return {
    behindImage,
    filesystem: { title: filesystem.title, size: filesystem.size, unused: Math.max(0, length - filesystem.size) },
  }
}

export function slackNotes({ behindImage, filesystem }: Slack, number: number): Note[] {
  if (filesystem !== undefined && filesystem.unused >= 1048576) {
    return [
      {
        code: 'W_SLACK',
        message:
          `the ${filesystem.title} leaves ${filesystem.unused} bytes of partition ${number} unused: ` +
          'enlarge it in the guest if they are wanted',
      },
    ]
  }
  return behindImage > 0
    ? [
        {
          code: 'W_SLACK',
          message:
            `the last ${behindImage} bytes of partition ${number} are zero: the image that was put in is ` + 'smaller',
        },
      ]
    : []
}
