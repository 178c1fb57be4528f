import fs from '../../sys/host-fs.js'
import { deviceNumberText } from '../../binary/device-number.js'
import { DiskStore } from '../../device/disk-store.js'
import { objections } from '../../device/safety.js'
import type { FoundDevice, Holder } from '../../device/types.js'
import { isImageError, refused, targetError, type ImageError } from '../../errors.js'
import { command } from '../../sys/commands.js'
import type { Step } from '../transfer/step.js'
import type { DeviceTarget } from './argument.js'
import type { GuardPass } from './guards.js'

export type PreparingStepName = 'set-writable' | 'unmount'

/** What is put aside before a target is opened: what its guards would have refused, and the user's word let pass. */
export function preparingSteps(
  target: DeviceTarget,
  passed: readonly GuardPass[],
  holders: readonly Holder[] = [],
): Step<PreparingStepName>[] {
  const points = holders.flatMap(({ mount }) => mount?.point ?? [])
  const overridden = (name: GuardPass['guard']): GuardPass | undefined =>
    passed.find(({ guard, overridden }) => guard === name && overridden)
  const mounted = overridden('mounted')
  return [
    ...(overridden('read-only') === undefined
      ? []
      : [
          {
            name: 'set-writable' as const,
            message: `remove the system's read-only mark of ${target.node}`,
            run: () => clearReadOnly(target),
          },
        ]),
    ...(mounted === undefined
      ? []
      : [
          {
            name: 'unmount' as const,
            message: `unmount: ${mounted.message}`,
            run: () => unmountTarget(target, points),
          },
        ]),
  ]
}

/**
 * Unmounts what is mounted of a target, and what is mounted of its bytes under other names (`others`), what was mounted
 * later first; never by force and never lazily. @throws
 * ImageError target E_UNMOUNT.
 */
async function unmountTarget({ disk, partition }: FoundDevice, others: readonly string[] = []): Promise<void> {
  const parts = partition === undefined ? [disk, ...disk.partitions] : [partition, disk]
  const own = parts.flatMap(({ uses }) => uses.flatMap((use) => (use.kind === 'mount' ? [use.point] : [])))
  const points = [...new Set([...own, ...others])]
  // A mount point inside another is deeper.
  const order = [...points].sort(
    (one, other) => other.split('/').length - one.split('/').length || other.length - one.length,
  )
  for (const point of order) {
    const done = await command('umount', [point])
    if (done.code !== 0)
      throw targetError('E_UNMOUNT', `${point} cannot be unmounted: ${done.stderr}`, {
        hint: 'Close what uses it (fuser -m, lsof), and try again.',
      })
  }
}

/**
 * Takes away the system's mark that a device is read-only. @throws ImageError refused E_READ_ONLY_DISK when it stays.
 */
async function clearReadOnly({ disk, partition }: FoundDevice): Promise<void> {
  const done = await command('blockdev', ['--setrw', partition?.path ?? disk.path])
  if (done.code !== 0)
    throw refused('E_READ_ONLY_DISK', `${partition?.path ?? disk.path} cannot be made writable: ${done.stderr}`)
}

/**
 * Opens a target exclusively, and makes sure that it is still the one that was found.
 * @param judge asked about what the system says of it by now, before it is opened.
 * @throws ImageError refused E_DEVICE_BUSY, E_TARGET_CHANGED, E_READ_ONLY_DISK; target E_WRITE_PERMISSION; those of
 * `judge`.
 */
export function openTarget(target: DeviceTarget, judge: (now: FoundDevice) => void): DiskStore {
  const { path, disk, partition, size } = target
  const before = target.now()
  checkUnchanged(target, before)
  judge(before)
  const store = openWhenFree(() => DiskStore.open(path, { size, sectorSize: disk.logicalSectorSize, writable: true }))
  try {
    const now = target.now()
    checkUnchanged(target, now)
    const other = descriptorDifference(store, partition?.deviceNumber ?? disk.deviceNumber)
    if (other !== undefined) throw changed(target, other)
    const [readOnly] = objections(now.disk, now.partition).filter(({ guard }) => guard === 'read-only')
    if (readOnly !== undefined)
      throw refused('E_READ_ONLY_DISK', `${readOnly.reason}, and stays so: a write-protect switch, as a rule`)
    return store
  } catch (error) {
    store[Symbol.dispose]()
    throw error
  }
}

/** How often a device that is in use is opened again, and after how many milliseconds. */
const again = { times: 20, after: 25 } as const

/**
 * A device stays in use for a moment after it was unmounted or detached, and while another program looks whether it is
 * in use, as our own guards do.
 * @throws ImageError refused E_DEVICE_BUSY; target E_WRITE_PERMISSION.
 */
export function openWhenFree<T>(open: () => T): T {
  for (let tries = 0; ; tries++) {
    try {
      return open()
    } catch (error) {
      if (tries === again.times || !isImageError(error) || error.code !== 'E_DEVICE_BUSY') throw error
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, again.after)
  }
}

/** @throws ImageError refused E_TARGET_CHANGED when a device is not the one any more that was found. */
function checkUnchanged(target: DeviceTarget, now: FoundDevice): void {
  const found = difference(target, now)
  if (found !== undefined) throw changed(target, found)
}

function changed({ path, partition }: DeviceTarget, what: string): ImageError {
  return refused(
    'E_TARGET_CHANGED',
    `${path} is not the ${partition === undefined ? 'disk' : 'partition'} any more that was looked at: ${what}`,
    { hint: 'Nothing was written. Look again which disk is meant. No flag overrides this.' },
  )
}

/** What distinguishes one disk from another that took its name. */
function difference(before: FoundDevice, now: FoundDevice): string | undefined {
  const [one, other] = [before.disk, now.disk]
  if (one.deviceNumber !== other.deviceNumber || before.partition?.deviceNumber !== now.partition?.deviceNumber)
    return 'its device number is another'
  if (one.sequence !== other.sequence) return 'another medium or device has come'
  if (one.serial !== other.serial || one.wwn !== other.wwn)
    return `its serial was ${one.serial ?? 'unknown'}, and is ${other.serial ?? 'unknown'}`
  const [size, sizeNow] = [before.partition?.size ?? one.size, now.partition?.size ?? other.size]
  if (size !== sizeNow) return `it had ${size} bytes, and has ${sizeNow}`
  return before.partition?.start === now.partition?.start ? undefined : 'the partition starts elsewhere'
}

/** What was opened is what its name stands for now. */
function descriptorDifference(store: DiskStore, deviceNumber: string): string | undefined {
  if (!/^\d+:\d+$/.test(deviceNumber)) return undefined
  const opened = deviceNumberText(fs.fstatSync(store.fd, { bigint: true }).rdev)
  return opened === deviceNumber ? undefined : `device ${opened} was opened instead of ${deviceNumber}`
}
