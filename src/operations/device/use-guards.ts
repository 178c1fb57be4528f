import { objections, type Objection } from '../../device/safety.js'
import { targetPath, type Refusal, type TargetFacts } from './target-facts.js'

/** A disc, and memory that looks like a disk, are no targets. */
export function kindRefusals(facts: TargetFacts): Refusal[] {
  const { kind } = facts.disk
  if (kind !== 'ram' && kind !== 'optical') return []
  return [
    {
      guard: 'kind',
      code: 'E_DEVICE_KIND',
      reasons: [`${targetPath(facts)} is ${kind === 'ram' ? 'memory, not a disk' : 'an optical disc'}`],
      hint: 'No flag overrides this.',
    },
  ]
}

interface Rule extends Omit<Refusal, 'reasons'> {
  readonly objection: Objection['guard']
}
const useRules: readonly Rule[] = [
  { guard: 'medium', objection: 'no-medium', code: 'E_NO_MEDIUM', hint: 'Put a medium in. No flag overrides this.' },
  {
    guard: 'read-only',
    objection: 'read-only',
    code: 'E_READ_ONLY_DISK',
    override: 'clearReadOnly',
    hint:
      'A write-protect switch is to be moved by hand; --clear-read-only takes away a mark that only the ' +
      'system has set.',
  },
  {
    guard: 'system',
    objection: 'system',
    code: 'E_SYSTEM_DISK',
    override: 'allowSystemDisk',
    hint:
      "Writing to it destroys the running system. With --allow-system-disk, and the disk's serial typed or " +
      'given with --confirm, it is written nevertheless.',
  },
  {
    guard: 'mounted',
    objection: 'mounted',
    code: 'E_MOUNTED',
    override: 'unmount',
    hint: 'Unmount it, or say --unmount.',
  },
  {
    guard: 'held',
    objection: 'held',
    code: 'E_HELD',
    override: 'allowHeld',
    hint:
      'Close what holds it first (vgchange -an, cryptsetup close, mdadm --stop, losetup -d): vdisk never ' +
      'does. --allow-held overrides this; what the system itself holds it does not give away even then.',
  },
  {
    guard: 'swap',
    objection: 'swap',
    code: 'E_SWAP',
    override: 'allowSwap',
    hint:
      'Stop using it first (swapoff): vdisk never does. --allow-swap overrides this; what the system ' +
      'itself holds it does not give away even then.',
  },
  {
    guard: 'locked',
    objection: 'locked',
    code: 'E_LOCKED',
    hint: 'Stop the virtual machine or server that uses it first. No flag overrides this.',
  },
]

/** What the system, and other programs, do with the target. */
export function useRefusals({ disk, partition, holders }: TargetFacts): Refusal[] {
  const found = objections(disk, partition, holders)
  return useRules.flatMap(({ objection, ...rule }) => {
    const reasons = found.filter(({ guard }) => guard === objection).map(({ reason }) => reason)
    return reasons.length === 0 ? [] : [{ ...rule, reasons }]
  })
}

/**
 * What the system will say when the target is opened, for reasons of its own: the journal of another filesystem, a
 * container's mount. Where something is put aside first, only opening it shows.
 */
export function busyRefusals({ busy, holders, ...facts }: TargetFacts): Refusal[] {
  const mounted = objections(facts.disk, facts.partition, holders).some(({ guard }) => guard === 'mounted')
  if (busy !== true || mounted) return []
  return [
    {
      guard: 'busy',
      code: 'E_DEVICE_BUSY',
      reasons: [`${targetPath(facts)} is in use: the system does not give it to one program alone`],
      hint: 'Unmount it, and close what uses it (LVM, LUKS, RAID, swap); "vdisk disks" shows what is known of it.',
    },
  ]
}
