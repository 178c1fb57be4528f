import type { Note } from '../../../block/types.js'
import { patchedSource } from '../../../block/concatenated.js'
import { ImageError, usage } from '../../../errors.js'
import type { OpenedImage } from '../../../formats/open.js'
import { namedPlatform, type Platform } from '../../../platforms/index.js'
import { changingInPlace } from '../../change/left-state.js'
import { openToChange } from '../../in-use/changing.js'
import { examine } from '../../inspect/inspect.js'
import { openReadableLater, readOptions, wholeDisk } from '../../open/opening.js'
import { convertFrom, type ConvertOptions, type ConvertResult } from '../../transfer/convert.js'
import { placeText } from '../boot-menu.js'
import { diagnose, type Diagnosis, type DoctorOptions, type DoctorResult } from '../doctor.js'
import type { GuestVolume } from '../guest.js'
import type { DoctorFinding, MendPart } from '../report.js'
import { planGuestMend, type GuestMendPlan, type MendedFile } from './plan.js'

export interface GuestMendOptions
  extends DoctorOptions, Omit<ConvertOptions, 'for' | 'parent' | 'parentFrom' | 'size' | 'usedOnly'> {
  /** The new image; with `inPlace` the image itself is changed instead. One of the two, unless it is a dry run. */
  readonly output?: string
  readonly inPlace?: boolean
  /** What is mended: the configuration alone when left out. Modules of an initramfs need a platform (`for`). */
  readonly parts?: readonly MendPart[]
}

/** A run of bytes that changes, in hexadecimal. */
export interface MendRange {
  readonly file: string
  /** Byte of the disk. */
  readonly position: number
  readonly length: number
  readonly old: string
  readonly new: string
}

/** What was done, or would be. */
export interface MendReport {
  readonly inPlace: boolean
  readonly dryRun: boolean
  /** The new image; absent where none was made. */
  readonly target?: ConvertResult['target']
  /** What is gone. Empty: nothing was to be done, and nothing was written. */
  readonly mended: readonly Pick<DoctorFinding, 'id' | 'where' | 'found' | 'wanted'>[]
  readonly ranges: readonly MendRange[]
}

/** The diagnosis of the disk after it was mended, and what was done. */
export interface MendResult extends DoctorResult {
  readonly mend: MendReport
  readonly notes: readonly Note[]
}

interface Made {
  readonly after: DoctorResult
  readonly plan: GuestMendPlan
  readonly before: DoctorResult
  readonly notes: readonly Note[]
  readonly target?: ConvertResult['target']
}

/**
 * Mends what `doctor` finds, as far as other bytes in files that are there do it, in the blocks that they have. The
 * disk with the changes is looked at again before anything is written, and what was written is read back.
 * @throws ImageError usage E_TARGET, E_NOT_A_DISK; mismatch E_VERIFY; those of `doctor`, of `convert` and of changing
 * images.
 */
export async function mendGuest(argument: string, options: GuestMendOptions): Promise<MendResult> {
  const path = wholeDisk(argument, 'doctor --mend')
  const { output, inPlace = false, dryRun = false, for: id, parts = ['configuration'], ...rest } = options
  if (output !== undefined && inPlace) throw usage('E_TARGET', '--output and --in-place exclude each other')
  if (output === undefined && !inPlace && !dryRun)
    throw usage('E_TARGET', 'where is the mended disk to be?', {
      hint: 'Say --output FILE for a new image, --in-place to change this one, or --dry-run to see what would be done.',
    })
  if (parts.includes('initramfs') && id === undefined)
    throw usage('E_USAGE', 'which drivers an initramfs needs depends on the platform', {
      hint: 'Name it with --for; vdisk platforms lists them.',
    })
  const platform = id === undefined ? undefined : namedPlatform(id)
  const asked = { platform, parts }
  const { after, before, plan, notes, target } = inPlace
    ? await changingInPlace(
        () => leftState(parts),
        () => changeInPlace(path, asked, { ...rest, dryRun }),
      )
    : await intoCopy(path, asked, output, { ...rest, dryRun })
  return {
    ...after,
    image: before.image,
    mend: {
      inPlace,
      dryRun,
      target,
      mended: [...plan.mended].map(([{ id, where, found }, wanted]) => ({ id, where, found, wanted })),
      ranges: plan.ranges.map(({ file, position, old, bytes }) => ({
        file,
        position,
        length: bytes.length,
        old: Buffer.from(old).toString('hex'),
        new: Buffer.from(bytes).toString('hex'),
      })),
    },
    notes,
  }
}

type Changing = Omit<GuestMendOptions, 'output' | 'inPlace' | 'for' | 'parts'>

/** What the disk is mended for, and what of it. */
interface Asked {
  readonly platform: Platform | undefined
  readonly parts: readonly MendPart[]
}

function leftState(parts: readonly MendPart[]): string {
  return parts.includes('initramfs')
    ? 'Each file is the old one or the new one. A filesystem that is now marked as not left in order is repaired by ' +
        'fsck (e2fsck -p, fsck.vfat -a), as the guest does at its next start; then run it again.'
    : 'Each sector is the old one or the new one. Run it again: it goes on where it stopped.'
}

async function changeInPlace(path: string, asked: Asked, options: Changing): Promise<Made> {
  const { writeGroups } = await import('../../change/write-in-place.js')
  const draft = options.dryRun === true
  const made = await (async () => {
    using target = openToChange(path, { ...readOptions(options), draft })
    const { opened } = target
    const found = await planned(path, opened, asked)
    opened.findDamage()
    if (!draft && found.plan.groups.length > 0) writeGroups(target, found.plan.groups)
    return { ...found, notes: opened.notes }
  })()
  if (draft || made.plan.groups.length === 0) return made
  using again = await openReadableLater(path, options)
  return { ...made, after: (await proven(path, again, asked, made.plan)).result }
}

async function intoCopy(path: string, asked: Asked, output: string | undefined, options: Changing): Promise<Made> {
  using opened = await openReadableLater(path, options)
  const found = await planned(path, opened, asked)
  if (output === undefined || found.plan.groups.length === 0) return { ...found, notes: opened.notes }
  // What is written is compared with the disk that was looked at, before it gets its name.
  const { target, notes } = await convertFrom({ open: () => patched(opened, found.plan), name: path }, output, {
    ...options,
    verify: true,
  })
  return { ...found, target, notes }
}

/** What is to be done, and the diagnosis of the disk as it will be. */
async function planned(
  path: string,
  opened: OpenedImage,
  asked: Asked,
): Promise<Pick<Made, 'before' | 'after' | 'plan'>> {
  const { mends, result } = await lookAt(path, opened, asked)
  const plan = planGuestMend(opened, mends, asked.parts)
  const { result: after } =
    plan.groups.length === 0 ? { result } : await proven(path, patched(opened, plan), asked, plan)
  return { plan, before: result, after }
}

/** The disk with what is to be written laid over it. */
function patched(opened: OpenedImage, { groups }: GuestMendPlan): OpenedImage {
  const { sectorSize, capacity } = opened
  return opened.composed(patchedSource(opened, groups.flat(), { sectorSize, capacity }))
}

async function lookAt(path: string, opened: OpenedImage, { platform }: Asked): Promise<Diagnosis> {
  const { result, volumes } = examine(path, opened)
  return await diagnose(opened, result, volumes, platform)
}

/** Reads every file back that was mended; what was found before is gone. @throws ImageError mismatch E_VERIFY. */
async function proven(path: string, opened: OpenedImage, asked: Asked, plan: GuestMendPlan): Promise<Diagnosis> {
  const found = await lookAt(path, opened, asked)
  for (const file of plan.files) {
    if (!holds(found.volumes, file))
      throw new ImageError(
        'mismatch',
        'E_VERIFY',
        `${file.path} in ${placeText(file.open)} does not read back as it was written`,
      )
  }
  // Another one of the same kind in the same file may be left: of a disk that is not here.
  const left = found.result.findings.find((one) =>
    [...plan.mended.keys()].some(({ id, where, found }) => one.id === id && one.where === where && one.found === found),
  )
  if (left !== undefined)
    throw new ImageError('mismatch', 'E_VERIFY', `${left.id} is found in ${left.where} after it was mended`)
  return found
}

function holds(volumes: readonly GuestVolume[], { open, path, content }: MendedFile): boolean {
  const where = placeText(open)
  const files = volumes.find((volume) => placeText(volume) === where)?.files
  const node = files?.file(path)
  if (files === undefined || node?.size !== content.size) return false
  return content.groups.flat().every(({ offset, bytes }) => {
    const read = new Uint8Array(bytes.length)
    return files.fill(node, offset, read) && Buffer.compare(read, bytes) === 0
  })
}
