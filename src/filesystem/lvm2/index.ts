import type { BlockSource, Fact } from '../../block/types.js'
import { isImageError } from '../../errors.js'
import type { FilesystemFamily, FilesystemIssue } from '../types.js'
import { readGroup, type LogicalVolume, type VolumeGroup } from '../../binary/lvm2/group.js'
import { readLabel, type PhysicalVolumeLabel } from './label.js'

/** Physical volumes of LVM2. */
export const lvm2: FilesystemFamily = {
  id: 'lvm2',
  identify: (volume) => {
    const found = readLabel(volume)
    if (found === undefined) return []
    const { uuid, size } = found
    const issues = issuesOf(volume, found)
    const known = size > 0n && size <= BigInt(Number.MAX_SAFE_INTEGER)
    return [
      {
        type: 'LVM2_member',
        title: 'LVM2',
        kind: 'container',
        version: 'LVM2 001',
        uuid,
        state: 'unknown',
        facts: factsOf(found, issues),
        issues,
        ...(known ? { size: Number(size) } : {}),
      },
    ]
  },
}

function issuesOf(volume: BlockSource, { isWhole, size }: PhysicalVolumeLabel): FilesystemIssue[] {
  const issues: FilesystemIssue[] = []
  if (!isWhole)
    issues.push({ code: 'E_FS_CHECKSUM', severity: 'error', message: 'the checksum of the LVM2 label is wrong' })
  if (size <= BigInt(Number.MAX_SAFE_INTEGER) && size > BigInt(volume.capacity))
    issues.push({
      code: 'W_FS_TRUNCATED',
      severity: 'error',
      message: `the physical volume has ${size} bytes, and the volume only ${volume.capacity}`,
    })
  return issues
}

function factsOf({ sector, text }: PhysicalVolumeLabel, issues: FilesystemIssue[]): Fact[] {
  const group = text === undefined ? undefined : attempted(text, issues)
  const volumes = group?.volumes.filter(({ isVisible }) => isVisible) ?? []
  return [
    ...(group === undefined ? [] : [{ name: 'volumeGroup', value: group.name }]),
    { name: 'labelSector', value: sector },
    ...(volumes.length === 0 ? [] : [{ name: 'logicalVolumes', value: volumes.map(shown).join(', ') }]),
  ]
}

function attempted(text: string, issues: FilesystemIssue[]): VolumeGroup | undefined {
  try {
    return readGroup(text)
  } catch (error) {
    if (!isImageError(error)) throw error
    issues.push({ code: error.code, severity: 'error', message: error.message })
    return undefined
  }
}

/** With its kind where it cannot be read. */
function shown({ name, unread }: LogicalVolume): string {
  return unread === undefined ? name : `${name} (${unread})`
}
