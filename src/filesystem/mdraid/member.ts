import { viewOf } from '../../binary/integers.js'
import { ConcatenatedSource } from '../../block/concatenated.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource } from '../../block/types.js'
import { reference, unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { bytesAt } from '../volume-reader.js'
import { magic, version0, version1 } from './structs.js'

const linear = 0xffffffff
const mirrored = 1
const sector = 512
const rolesStart = 256
/** Roles of devices that are no part of the array: spare, faulty, journal. */
const firstOddRole = 0xfffd
/** The member is not filled up to its end yet. */
const recovering = 2
/** Of version 0.90: active and in sync, and not faulty (bits 1, 2 and 0). */
const inSync = 6

/** A member of an array, as far as its content can be read. */
export interface ArrayMember {
  readonly array: string
  readonly level: number
  readonly disks: number
  /** Its place in the array; undefined: it is spare, faulty, or not filled yet. */
  readonly role: number | undefined
  /** Bytes of the volume where content begins, and how many there are. */
  readonly start: number
  readonly length: number
  /** It goes up with every change of the array: the highest is the latest. */
  readonly events: bigint
}

/** What a volume is to an array; undefined: nothing, or a member whose content has no place. */
export function memberOf(volume: BlockSource): ArrayMember | undefined {
  const end = volume.capacity
  for (const position of [0, 4096, end - (end % 4096) - 0x2000]) {
    const bytes = bytesAt(volume, position, version1.size)
    const values = bytes === undefined ? undefined : version1.read(bytes)
    if (values?.magic !== magic || values.major !== 1 || values.superOffset !== BigInt(position) / 512n) continue
    const start = Number(values.dataOffset) * sector
    const length = Number(values.dataSize) * sector
    const roles = bytesAt(volume, position + rolesStart + values.number * 2, 2)
    const role = roles === undefined ? firstOddRole : viewOf(roles).getUint16(0, true)
    const isFilled = Math.floor(values.features / recovering) % 2 === 0
    return {
      array: values.uuid,
      level: values.level,
      disks: values.disks,
      role: role >= firstOddRole || !isFilled ? undefined : role,
      start,
      length,
      events: values.events,
    }
  }
  return oldMember(volume)
}

/** Version 0.90 begins with the content; its superblock lies behind that. */
function oldMember(volume: BlockSource): ArrayMember | undefined {
  const end = volume.capacity
  const position = end - (end % 65536) - 65536
  const bytes = bytesAt(volume, position, version0.size)
  const values = bytes === undefined ? undefined : version0.read(bytes)
  if (values?.magic !== magic || values.major !== 0 || values.minor !== 90) return undefined
  const { level, disks, size, uuid0, uuid1, uuid2, uuid3 } = values
  return {
    array: [uuid0, uuid1, uuid2, uuid3].join('-'),
    level,
    disks,
    role: values.state % 8 === inSync ? values.role : undefined,
    start: 0,
    // Only the members of mirrors have one size.
    length: level === mirrored ? size * 1024 : position,
    events: values.events,
  }
}

/**
 * What is in an array of which a volume is a member: RAID 1 from that member alone, linear from all members, which are
 * looked for in `others`. @throws ImageError unsupported E_FS_FEATURE (other levels, a spare); reference
 * E_MISSING_MEMBER; corrupt E_FS_CORRUPT.
 */
export function openArray(volume: BlockSource, others: readonly BlockSource[], level: string): BlockSource {
  const member = memberOf(volume)
  if (member === undefined) throw damaged('Linux RAID', 'its superblock does not say where its content lies')
  if (member.level !== mirrored && member.level !== linear)
    throw unsupported('E_FS_FEATURE', `Linux RAID of the level ${level} is not read: only RAID 1 and linear are`)
  if (member.role === undefined)
    throw unsupported('E_FS_FEATURE', 'this member of a Linux RAID is a spare, failed, or not filled yet', {
      hint: 'Name another member.',
    })
  if (member.level === mirrored) return content(volume, member)
  const members = [volume, ...others].flatMap((source) => {
    const found = memberOf(source)
    return found?.array === member.array && found.role !== undefined ? [{ source, found }] : []
  })
  const parts = Array.from({ length: Math.min(member.disks, 1024) }, (_, role) => {
    const part = members.find(({ found }) => found.role === role)
    if (part !== undefined) return content(part.source, part.found)
    throw reference('E_MISSING_MEMBER', `member ${role} of ${member.disks} of a linear Linux RAID is not on this disk`)
  })
  return new ConcatenatedSource(parts, 512)
}

function content(volume: BlockSource, { start, length }: ArrayMember): BlockSource {
  if (length === 0 || start + length > volume.capacity)
    throw damaged('Linux RAID', `its content is said to have ${length} bytes from byte ${start} on`)
  return new SliceSource(volume, start, length)
}
