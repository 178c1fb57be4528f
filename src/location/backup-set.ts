import { printable, usage, type HostPath, type ImageError } from '../errors.js'
import fs from '../sys/host-fs.js'
import { folderPart, inFolder, lastPart } from '../sys/host-path.js'
import { HostLocation, hostLocation } from './file.js'
import type { Scheme } from './location.js'

/** What makes a folder a backup set: its settings. */
export const settingsName = 'vdisk-set.json'

/** The image of a point is named by its time, UTC: `2026-11-30T041500Z.qcow2`. */
const imageName = /^(\d{4}-\d\d-\d\dT\d{6}Z)\.(?:qcow2|vhdx)$/

/**
 * The moment that a point is named by, `2026-11-30T041500Z`. Undefined for what is no moment, and for the last year of
 * four digits: behind it there would be no next point.
 */
export function pointTime(time: string): Date | undefined {
  const [, day, hours, minutes, seconds] = /^(.{10})T(..)(..)(..)Z$/.exec(time) ?? []
  const date = new Date(`${day ?? ''}T${hours ?? ''}:${minutes ?? ''}:${seconds ?? ''}Z`)
  const isMoment = !Number.isNaN(date.getTime()) && pointName(date, '') === `${time}.` && date.getUTCFullYear() < 9999
  return isMoment ? date : undefined
}

/** `SET@latest`, `SET@oldest`, `SET@2026-11-30`, `SET@2026-11-30T0415`; colons in the time are as good as none. */
const pointAddress = /^(.+)@(latest|oldest|\d{4}-\d\d-\d\d(?:T\d\d(?::?\d\d(?::?\d\d)?)?Z?)?)$/s

/** An image in the folder of a backup set. */
export interface SetImage {
  /** When it was begun, UTC: `2026-11-30T041500Z`. What it is asked for by. */
  readonly time: string
  readonly path: HostPath
  /** Whether it is whole and has its record: others cannot be restored by their time. */
  readonly isPoint: boolean
}

/** The name of the image of a point that is begun now. @param extension `qcow2` or `vhdx`. */
export function pointName(begun: Date, extension: string): string {
  return `${begun.toISOString().slice(0, 19).replaceAll(':', '')}Z.${extension}`
}

export function isBackupSet(folder: HostPath): boolean {
  return fs.existsSync(inFolder(folder, settingsName))
}

/** Whether a file is an image of a backup set, by its name and its folder. */
export function isInSet(path: HostPath): boolean {
  return imageName.test(lastPart(path)) && isBackupSet(folderPart(path))
}

/** The images of a set, oldest first. @throws ImageError usage E_PERMISSION */
export function imagesOf(folder: HostPath): readonly SetImage[] {
  const names = new HostLocation(inFolder(folder, settingsName)).siblings()
  const known = new Set(names)
  return names
    .flatMap((name) => {
      const [, time] = imageName.exec(name) ?? []
      if (time === undefined || pointTime(time) === undefined) return []
      return [{ time, path: inFolder(folder, name), isPoint: known.has(`${name}.vdisk.json`) }]
    })
    .sort((one, other) => (one.time < other.time ? -1 : 1))
}

/** A folder, and the point of it that is asked for. */
interface PointAddress {
  readonly folder: HostPath
  readonly point: string
}

/** Takes `SET@latest` and the like apart, by the text alone. */
export function parsePoint(address: string): PointAddress | undefined {
  const [, folder, point] = pointAddress.exec(address) ?? []
  return folder === undefined || point === undefined ? undefined : { folder, point }
}

/** Whether an address is a point of a set. A file that really has such a name is that file. */
export function isPointAddress(address: string): boolean {
  return parsePoint(address) !== undefined && !fs.existsSync(address)
}

/**
 * The image of a point: of several on one day, or in one hour, the last.
 * @throws ImageError usage E_NO_SET, E_NO_POINT
 */
export function findPoint({ folder, point }: PointAddress): SetImage {
  if (!isBackupSet(folder)) throw noSet(folder)
  const points = imagesOf(folder).filter(({ isPoint }) => isPoint)
  const wanted = point.replaceAll(':', '').replace(/Z$/, '')
  const found =
    point === 'latest'
      ? points.at(-1)
      : point === 'oldest'
        ? points[0]
        : points.findLast(({ time }) => time.startsWith(wanted))
  if (found !== undefined) return found
  const near = points.filter(({ time }) => time < wanted).at(-1) ?? points[0]
  throw usage('E_NO_POINT', `the backup set ${printable(folder)} has no point ${printable(point)}`, {
    hint:
      near === undefined
        ? 'It has no points yet: vdisk backup run makes one.'
        : `vdisk backup list shows its points (times are UTC); near it is ${near.time}.`,
  })
}

export function noSet(folder: HostPath): ImageError {
  const [, before = ''] = /^(.+)@[^@/]*$/s.exec(folder) ?? []
  return usage('E_NO_SET', `${printable(folder)} is no backup set: it has no ${settingsName}`, {
    hint:
      before !== '' && isBackupSet(before)
        ? `${printable(before)} is one: name it without @. Commands that read take SET@latest or SET@2026-11-20.`
        : 'vdisk backup init makes one.',
  })
}

/** A point of a backup set, as the image that holds it. A file that really has such a name is that file. */
export const backupSetScheme: Scheme = {
  id: 'backup-set',
  title: 'a point of a backup set',
  matches: (address) => parsePoint(address) !== undefined,
  locate: (address) => {
    const parsed = parsePoint(address)
    if (parsed === undefined || fs.existsSync(address)) return hostLocation(address)
    return new HostLocation(findPoint(parsed).path)
  },
}
