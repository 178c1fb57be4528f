import { isImageError } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { shellWord } from '../../sys/shell-word.js'
import { isDynamicDiskType } from '../../partition/index.js'
import { isAzure, type Platform } from '../../platforms/index.js'
import type { InspectResult } from '../inspect/inspect.js'
import { fitDisk } from '../platform/fit.js'
import type { DoctorReport } from './report.js'

/** Where partitions should begin, in bytes: pages and the blocks of storage are no smaller. */
const wantedAlignment = 4096

/** Types of partitions, of an MBR and a GPT, that Storage Spaces pools. Windows starts from none of them. */
const storageSpacesTypes: readonly string[] = ['0xe7', 'e75caf8f-f680-4cee-afa3-b001e56efc2d']

/** The size of the disk, its table, and what lies in it besides files. @param logical whether LVM is read. */
export function checkDisk(
  opened: OpenedImage,
  disk: InspectResult,
  logical: boolean,
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  report.look(`the disk: ${opened.capacity} bytes, ${disk.scheme === 'none' ? 'no partition table' : disk.scheme}`)
  for (const { code, severity, message, partition, fixable, command } of disk.issues) {
    if (severity === 'note' || code.startsWith('W_FS_')) continue
    report.add({
      id: 'D-TABLE',
      severity: 'risk',
      where: partition === undefined ? 'the partition table' : `partition ${partition}`,
      found: `${message} (${code})`,
      wanted: 'a table without faults',
      why: 'systems differ in what they make of it',
      remedy:
        fixable === true && command !== undefined
          ? { kind: 'command', text: command }
          : { kind: 'none', text: 'See vdisk inspect.' },
    })
  }
  for (const { number, start, role } of disk.partitions)
    if (role !== 'extended' && start % wantedAlignment !== 0)
      report.add({
        id: 'D-ALIGN',
        severity: 'note',
        where: `partition ${number}`,
        found: `it begins at byte ${start}`,
        wanted: `a multiple of ${wantedAlignment}`,
        why: 'each write of the guest costs the storage two',
        remedy: { kind: 'none', text: 'Nothing moves a partition here: make a new disk when it matters.' },
      })
  checkContent(disk, logical, platform, report)
  if (platform !== undefined) checkSize(disk.image.path, opened, platform, report)
}

/** The size and the limits, as --for has them. */
function checkSize(path: string, opened: OpenedImage, platform: Platform, report: DoctorReport): void {
  const unit = platform.multiple?.bytes ?? 512
  const { format } = platform.formats[0] ?? { format: 'raw' }
  const target = platform.packing?.extensions[0] ?? `.${format}`
  const command = `vdisk convert ${shellWord(path)} OUT${target} --for ${platform.id}`
  if (opened.capacity % unit !== 0)
    report.add({
      id: 'D-SIZE',
      severity: platform.multiple === undefined || platform.multiple.certainty === 'unconfirmed' ? 'risk' : 'blocks',
      where: 'the disk',
      found: `${opened.capacity} bytes`,
      wanted: `a multiple of ${unit} bytes`,
      why: `${platform.id} refuses other sizes`,
      remedy: { kind: 'command', text: command },
    })
  try {
    const { sectorSize } = opened
    const { notes } = fitDisk(opened, { platform, name: path, sectorSize, given: (capacity) => capacity })
    for (const { code, message } of notes)
      if (code === 'W_PLATFORM_RULE')
        report.add({
          id: 'D-RULE',
          severity: 'risk',
          where: 'the disk',
          found: message,
          wanted: `what \`vdisk platforms ${platform.id}\` lists`,
          why: 'the rule is not confirmed, or concerns disks that a system starts from',
          remedy: { kind: 'none', text: 'Look it up before you upload the image.' },
        })
  } catch (error) {
    if (!isImageError(error)) throw error
    report.add({
      id: 'D-RULE',
      severity: 'blocks',
      where: 'the disk',
      found: error.message,
      wanted: `what \`vdisk platforms ${platform.id}\` lists`,
      why: `${platform.id} does not take it`,
      remedy: { kind: 'none', text: error.hint ?? '' },
    })
  }
}

/** Containers, swap, and filesystems that were not left in order. */
function checkContent(
  disk: InspectResult,
  logical: boolean,
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  const places = [
    ...disk.partitions.map(({ number, filesystems, type }) => ({
      where: `partition ${number}`,
      filesystems,
      type: type.id,
    })),
    { where: 'the disk', filesystems: disk.filesystems, type: '' },
  ]
  for (const { where, filesystems, type } of places) {
    for (const { type: kind, title, kind: role, state } of filesystems) {
      if (state === 'hibernated' || state === 'dirty')
        report.add({
          id: state === 'dirty' ? 'D-FS-DIRTY' : 'D-FS-ASLEEP',
          severity: state === 'dirty' ? 'note' : 'risk',
          where,
          found: state === 'dirty' ? `${title} was not left in order` : `a system sleeps in ${title}`,
          wanted: 'a system that was shut down',
          why:
            state === 'dirty'
              ? 'it is checked at the next start; what was written last may be lost'
              : 'it wakes up on other hardware than it fell asleep on, or loses what it had open',
          remedy: { kind: 'inside-guest', text: 'Start the system where it was, and shut it down.' },
        })
      if (kind === 'crypto_LUKS' || kind === 'BitLocker') encrypted(where, kind, title, platform, report)
      else if (role === 'container' && !(logical && kind === 'LVM2_member'))
        report.skip(`${where}: ${title}`, 'what lies inside is not opened', false)
      else if (role === 'swap' && platform !== undefined && isAzure(platform))
        report.add({
          id: 'L-SWAP',
          severity: 'note',
          where,
          found: title,
          wanted: 'no swap on the disk of the system',
          why: 'Azure advises swap on the temporary disk, which is free and faster',
          remedy: { kind: 'inside-guest', text: 'Remove it from fstab, and let the agent make one (waagent.conf).' },
        })
    }
    if (storageSpacesTypes.includes(type))
      report.skip(`${where}: Storage Spaces`, 'what lies inside is not opened', false)
    if (isDynamicDiskType(type))
      report.add({
        id: 'W-DYNAMIC',
        severity: 'blocks',
        where,
        found: 'a dynamic disk of Windows (LDM)',
        wanted: 'a basic disk',
        why: 'clouds and hypervisors do not start from it',
        remedy: { kind: 'none', text: 'Move the system to a basic disk.' },
      })
  }
}

function encrypted(
  where: string,
  kind: string,
  title: string,
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  report.skip(`${where}: ${title}`, 'it is encrypted', true)
  if (platform === undefined) return
  if (platform.noEncryption !== true) {
    if (kind === 'BitLocker') bitlocker(where, title, platform, report)
    return
  }
  report.add({
    id: 'D-ENCRYPTED',
    severity: 'blocks',
    where,
    found: title,
    wanted: 'volumes without encryption',
    why: `${platform.id} refuses encrypted disks`,
    remedy: {
      kind: 'inside-guest',
      text: 'Decrypt the volume first, or copy the system to one that is not encrypted.',
    },
  })
}

/** The key is sealed to the old machine, unless protection was suspended. */
function bitlocker(where: string, found: string, { id }: Platform, report: DoctorReport): void {
  report.add({
    id: 'W-BITLOCKER',
    severity: 'risk',
    where,
    found,
    wanted: 'a volume without encryption, or protection that is suspended',
    why: `${id} has another TPM: Windows asks for the recovery key at each start`,
    remedy: {
      kind: 'inside-guest',
      text: 'manage-bde -off C: (or: manage-bde -protectors -disable C: -rebootcount 0)',
    },
  })
}
