import {
  bcdElements,
  BcdStore,
  placePatches,
  diskPlaceText,
  type BcdDevice,
  type BcdObject,
  type DiskPlace,
  type HivePatch,
} from '../../../hive/index.js'
import type { InspectResult } from '../../inspect/inspect.js'
import { placeText } from '../boot-menu.js'
import type { GuestVolume } from '../guest.js'
import type { DoctorReport } from '../report.js'
import type { WindowsGuest } from './guest.js'
import { attempt, hiveEdits, openHiveFile, type HiveFile } from './hive-file.js'
import type { WindowsPlaces, Renames } from './places.js'

const storePaths = { uefi: '/EFI/Microsoft/Boot/BCD', bios: '/Boot/BCD' } as const
type Firmware = keyof typeof storePaths
/** What the boot sector starts, of a disk for BIOS. */
const bootManagerPath = '/bootmgr'

/** What the checks of one boot store need. */
interface StoreCheck {
  readonly guest: WindowsGuest
  readonly firmware: Firmware
  readonly file: HiveFile
  readonly store: BcdStore
  readonly places: WindowsPlaces
  readonly renames: Renames
  readonly report: DoctorReport
}

const rebuild = 'Start the repair system of Windows, and run bcdboot C:\\Windows (with /s and the letter of the ESP).'

/** The stores from which the boot manager of Windows starts, and whether what they name is there. */
export function checkBootStores(
  guest: WindowsGuest,
  volumes: readonly GuestVolume[],
  disk: InspectResult,
  names: { readonly places: WindowsPlaces; readonly renames: Renames },
  report: DoctorReport,
): void {
  if (disk.image.part !== undefined) return
  for (const firmware of ['uefi', 'bios'] as const) {
    if (disk.boot.firmware !== 'none' && disk.boot.firmware !== 'both' && disk.boot.firmware !== firmware) continue
    const active = firmware === 'bios' ? activeVolume(volumes, disk) : undefined
    for (const open of volumes.filter(({ files }) => files.readable)) {
      if (active !== undefined && open !== active) {
        skipInactive(open, report)
        continue
      }
      const file = openHiveFile(open, storePaths[firmware], report)
      if (file === undefined) absent(open, firmware, disk, report)
      else {
        attempt(file, report, () =>
          checkStore({ ...names, guest, firmware, file, store: new BcdStore(file.hive), report }),
        )
      }
    }
  }
}

/** What the boot code of an MBR starts, where that is a boot manager of Windows: other ones are left over. */
function activeVolume(volumes: readonly GuestVolume[], disk: InspectResult): GuestVolume | undefined {
  if (disk.scheme !== 'mbr') return undefined
  const [active, ...more] = disk.partitions.filter(({ flags }) => flags.includes('active'))
  if (active === undefined || more.length > 0) return undefined
  return volumes.find(
    ({ volume, files }) =>
      files.readable && volume.partition?.number === active.number && files.file(bootManagerPath) !== undefined,
  )
}

function skipInactive(open: GuestVolume, report: DoctorReport): void {
  if (open.files.file(storePaths.bios) === undefined) return
  report.skip(`${storePaths.bios} in ${placeText(open)}`, 'it is not what starts: another partition is active', false)
}

/** A boot manager without its store. */
function absent(open: GuestVolume, firmware: Firmware, { boot }: InspectResult, report: DoctorReport): void {
  const { files, volume } = open
  // What is there and cannot be read was reported.
  if (files.file(storePaths[firmware]) !== undefined) return
  const loader =
    firmware === 'bios'
      ? files.file(bootManagerPath) && bootManagerPath
      : boot.loaders.find(({ kind, partition }) => kind === 'windows' && partition === volume.partition?.number)?.path
  if (loader === undefined) return
  report.add({
    id: 'W-BCD-MISSING',
    severity: 'blocks',
    where: placeText(open),
    found: `${loader} without ${storePaths[firmware]}`,
    wanted: 'a boot store',
    why: 'the boot manager of Windows does not know what to start (0xc000000f)',
    remedy: { kind: 'inside-guest', text: rebuild },
  })
}

function checkStore(check: StoreCheck): void {
  const { file, store, firmware, report } = check
  const where = whereOf(check)
  report.look(`the boot store ${where}`)
  noteState(file, where, report)
  if (firmware === 'bios' && file.open.files.file(bootManagerPath) === undefined)
    report.add({
      id: 'W-BOOTMGR-ABSENT',
      severity: 'blocks',
      where: placeText(file.open),
      found: `${storePaths.bios} without ${bootManagerPath}`,
      wanted: bootManagerPath,
      why: 'the boot sector finds nothing to start: BOOTMGR is missing',
      remedy: { kind: 'inside-guest', text: rebuild },
    })
  const { first } = store
  if (first === undefined) {
    report.add({
      id: 'W-BCD-ENTRY',
      severity: 'risk',
      where,
      found: 'no entry that starts by itself',
      wanted: 'an entry for the Windows in its partition',
      why: 'the boot manager waits at its menu, or stops',
      remedy: { kind: 'inside-guest', text: rebuild },
    })
    return
  }
  checkNames(check, first)
  checkLoader(check, first)
}

function whereOf({ file }: StoreCheck): string {
  return `${file.path} in ${placeText(file.open)}`
}

/** A hive that was not written to its end. */
export function noteState({ hive }: HiveFile, where: string, report: DoctorReport): void {
  if (hive.state === 'clean') return
  report.add({
    id: 'W-HIVE-DIRTY',
    severity: hive.state === 'recovered' ? 'note' : 'risk',
    where,
    found: hive.state === 'recovered' ? 'changes that are in its log alone' : 'changes that are lost',
    wanted: 'a system that was shut down',
    why:
      hive.state === 'recovered'
        ? 'Windows brings them in at its next start; until then nothing is mended here'
        : 'no log has what is missing: Windows may find the hive damaged',
    remedy: { kind: 'inside-guest', text: 'Start the system where it was, and shut it down.' },
  })
}

interface NamedDevice {
  readonly object: BcdObject
  readonly device: BcdDevice
}

/** The devices of entries and of the boot manager that are no partition of the disk. */
function checkNames(check: StoreCheck, first: BcdObject): void {
  const { guest, file, store, places, renames } = check
  const named: NamedDevice[] = store.objects.flatMap((object) => object.devices().map((device) => ({ object, device })))
  const lost = named.filter(({ device }) => device.places.some(({ place }) => !places.has(place)))
  if (lost.length === 0) return
  for (const { object, device } of lost) {
    const [own] = device.kind === 'partition' ? device.places : []
    if (own === undefined) continue
    if (object === store.bootManager) renames.add(own.place, places.of(file.open))
    else if (object === first && loaderThere(guest.open, object)) renames.add(own.place, places.of(guest.open))
  }
  // What is mended is a finding of its own: another one would stay behind it.
  const isRenamed = ({ device }: NamedDevice): boolean =>
    lostPlaces(device, places).every((place) => renames.of(place) !== undefined)
  for (const group of [lost.filter(isRenamed), lost.filter((named) => !isRenamed(named))])
    if (group.length > 0) reportLost(check, first, group)
}

function reportLost(check: StoreCheck, first: BcdObject, lost: readonly NamedDevice[]): void {
  const { guest, file, store, places, renames, report } = check
  const names = (entry: BcdObject | undefined): boolean => lost.some(({ object }) => object === entry)
  const severity = names(first) ? 'blocks' : names(store.bootManager) ? 'risk' : 'note'
  const stored = new Set(lost.flatMap(({ device }) => lostPlaces(device, places).map(diskPlaceText)))
  const own = places.of(guest.open)
  report.add(
    {
      id: 'W-BCD-ABSENT',
      severity,
      where: whereOf(check),
      found: `${[...stored].join('; ')}, which this disk does not have`,
      wanted: own === undefined ? 'a partition of this disk' : diskPlaceText(own),
      why:
        severity === 'note'
          ? 'an entry that does not start by itself leads nowhere; it may be about another disk'
          : 'the boot manager does not find its partition (0xc000000e, 0xc0000225)',
      remedy: { kind: 'inside-guest', text: rebuild },
    },
    hiveEdits(
      file,
      lost.flatMap(({ device }) => renamed(device, renames)),
    ),
  )
}

function lostPlaces({ places: stored }: BcdDevice, places: WindowsPlaces): DiskPlace[] {
  return stored.flatMap(({ place }) => (places.has(place) ? [] : [place]))
}

function renamed(device: BcdDevice, renames: Renames): HivePatch[] {
  return device.places.flatMap((stored) => {
    const now = renames.of(stored.place)
    return now === undefined ? [] : placePatches(device, stored, now)
  })
}

function loaderPath(entry: BcdObject): string | undefined {
  return entry.text(bcdElements.path)?.replaceAll('\\', '/')
}

function loaderThere({ files }: GuestVolume, entry: BcdObject): boolean {
  const path = loaderPath(entry)
  return path !== undefined && files.file(path) !== undefined
}

/** The loader of the entry that starts by itself: in the partition that it names, and for the firmware. */
function checkLoader(check: StoreCheck, first: BcdObject): void {
  const { guest, file, firmware, places, report } = check
  const path = loaderPath(first)
  const device = first.device(bcdElements.device)
  const osDevice = first.device(bcdElements.osDevice)
  const fault = (found: string, wanted: string, why: string): void =>
    report.add({
      id: 'W-BCD-LOADER',
      severity: 'blocks',
      where: whereOf(check),
      found,
      wanted,
      why,
      remedy: { kind: 'inside-guest', text: rebuild },
    })
  const extension = firmware === 'uefi' ? '.efi' : '.exe'
  if (path === undefined || device === undefined) {
    fault('an entry without a path or a device', 'both', 'the boot manager cannot start it')
    return
  }
  const home = deviceNumber(device, file.open, places)
  const own = guest.open.volume.partition?.number
  if (!path.toLowerCase().endsWith(extension))
    fault(path, `winload${extension}`, `it is the loader for the other firmware (0xc0000359, 0xc000035a)`)
  else if (home === undefined) skipDevice(check, device)
  else if (home !== own)
    fault(
      `${path} of partition ${home}`,
      `partition ${own ?? 0}, with ${guest.folder}`,
      'the loader, or its Windows, is not there (0xc000000f)',
    )
  else if (!loaderThere(guest.open, first))
    fault(`${path}, which is not there`, 'the loader of Windows', 'the boot manager does not find it (0xc000000f)')
  const root = osDevice === undefined ? undefined : deviceNumber(osDevice, file.open, places)
  if (root !== undefined && root !== own && home === own)
    fault(`osdevice: partition ${root}`, `partition ${own ?? 0}`, 'the loader finds no Windows there (0xc0000001)')
}

/** The partition of a device; undefined: it is not on this disk, or is found by searching. */
function deviceNumber(
  { kind, places: stored }: BcdDevice,
  from: GuestVolume,
  places: WindowsPlaces,
): number | undefined {
  if (kind === 'boot') return from.volume.partition?.number
  const [own] = stored
  return kind === 'partition' && own !== undefined ? places.number(own.place) : undefined
}

/** Ids that are not there have a finding of their own. */
function skipDevice(check: StoreCheck, { kind }: BcdDevice): void {
  if (kind === 'other')
    check.report.skip(`the device of the entry in ${whereOf(check)}`, 'it is a file or a virtual disk', true)
}
