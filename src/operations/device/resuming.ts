import fs from '../../sys/host-fs.js'
import type { DiskPlatform } from '../../device/types.js'
import { deviceNumberText } from '../../binary/device-number.js'
import { printable, refused } from '../../errors.js'
import { folderPart, nearest } from '../../sys/host-path.js'
import { DeviceSession } from '../resume/device-session.js'
import { optionFacts } from '../resume/facts.js'
import type { GivenFacts, SessionEnd } from '../resume/journaled-target.js'
import { imageIdentity } from '../transfer/identity.js'
import type { DeviceTarget } from './argument.js'
import { describeTarget } from './description.js'
import type { DeviceReading } from './facts.js'

export interface DeviceResumeOptions extends SessionEnd {
  /** Keeps a journal, and goes on with what an earlier run of the same command wrote (docs/resuming.md). */
  readonly resume?: boolean
  /** The journal's path; default: a file of the folder of states. */
  readonly journal?: string
  readonly newIds?: boolean
  readonly uuid?: string
  readonly fit?: boolean
  readonly grow?: boolean
  /** Version of the program: another one does not go on with what this one began. */
  readonly toolVersion?: string
}

/** Looks for what an earlier run wrote to a device. @throws ImageError refused E_RESUME_BUSY, E_RESUME_TARGET. */
export function openDeviceSession(
  target: DeviceTarget,
  platform: DiskPlatform,
  { journal, forgetLater }: DeviceResumeOptions,
): DeviceSession {
  const { serial, model, size, sectorSize, backingFile } = describeTarget(target)
  const partition = target.partition === undefined ? undefined : `${target.partition.name} of ${target.disk.name}`
  // What has no number of its own is known by where the system has it.
  const place = serial === undefined && backingFile === undefined ? target.node : undefined
  return DeviceSession.open(
    { node: target.node, known: optionFacts({ serial, model, size, sectorSize, backingFile, partition, place }) },
    { journal, forgetLater, guardPlace: (path) => guardPlace(path, target, platform) },
  )
}

/** A journal on what is overwritten would be lost with it. */
function guardPlace(path: string, target: DeviceTarget, platform: DiskPlatform): void {
  const folder = nearest(folderPart(path))
  const stat = fs.statSync(folder, { bigint: true, throwIfNoEntry: false })
  const own = stat !== undefined && deviceNumberText(stat.dev) === target.partition?.deviceNumber
  const { disks, through = [] } = platform.place(folder)
  const shared = target.partition === undefined && [...disks, ...through].includes(target.disk.name)
  if (!own && !shared) return
  throw refused('E_RESUME_TARGET', `the journal ${printable(path)} would lie on ${target.node}, which is overwritten`, {
    hint: 'Name a file on another disk with --journal.',
  })
}

/**
 * Holds what is to be written against what an earlier run began.
 * @throws ImageError refused E_RESUME_SOURCE, E_RESUME_OPTIONS.
 */
export function beginDevice(session: DeviceSession, reading: DeviceReading, options: DeviceResumeOptions): string {
  if (session.remakes && reading.changes === true)
    throw refused('E_RESUME_SOURCE', `${reading.name} is in use, and changes: what was copied is not what it is now`, {
      hint: 'Close what uses it, or run the command without --resume.',
    })
  const { newIds, fit, grow, toolVersion = '' } = options
  const { uuid } = imageIdentity(options.uuid ?? session.identity?.uuid)
  const given: GivenFacts = {
    version: toolVersion,
    identity: { uuid, time: 0 },
    source: reading.facts ?? { capacity: reading.source.capacity, files: [] },
    options: { ...reading.asked, ...optionFacts({ 'new-ids': newIds, fit, grow }) },
  }
  session.begin(given)
  return uuid
}
