import { roundDown, roundUp } from '../../../binary/integers.js'
import { isImageError, refused } from '../../../errors.js'
import type { FileNode } from '../../../filesystem/types.js'
import type { OpenedImage } from '../../../formats/open.js'
import type { TableWrite } from '../../../partition/index.js'
import { placeText } from '../boot-menu.js'
import type { GuestVolume } from '../guest.js'
import { mendPartOf, type DoctorFinding, type DoctorReport, type FileEdit, type MendPart } from '../report.js'
import { VolumePlaces } from './volume-places.js'
import { newContent, type EditedFile, type NewContent } from './new-content.js'

/** A run of bytes of the disk that changes. */
export interface MendedRange {
  /** The file that it belongs to, for people; what records its size counts too. */
  readonly file: string
  /** Byte of the disk. */
  readonly position: number
  readonly old: Uint8Array
  readonly bytes: Uint8Array
}

/** A file that is mended, with what is to stand in it. */
export interface MendedFile extends EditedFile {
  readonly content: NewContent
  /** What is to be written for it on the disk, each group before the next. */
  readonly writes: readonly (readonly PlacedWrite[])[]
}

interface PlacedWrite {
  readonly position: number
  readonly bytes: Uint8Array
}

/** What can be mended on a disk, and how. */
export interface GuestMends {
  readonly files: readonly MendedFile[]
  /** Findings that are gone then: the part that they belong to, and what becomes of what was found. */
  readonly mended: ReadonlyMap<DoctorFinding, { readonly part: MendPart; readonly becomes: string }>
  /** Why others are not mended. */
  readonly refusals: ReadonlyMap<DoctorFinding, string>
}

/** What mends a disk, as far as that was asked for. */
export interface GuestMendPlan {
  readonly files: readonly MendedFile[]
  /** Whole sectors of the disk, each group to be on the medium before the next. */
  readonly groups: readonly (readonly TableWrite[])[]
  readonly ranges: readonly MendedRange[]
  /** Findings that are gone then, and what becomes of what was found. */
  readonly mended: ReadonlyMap<DoctorFinding, string>
}

/** Works out which findings can be mended, and what each file is to hold then. Nothing is written. */
export function guestMends(disk: OpenedImage, volumes: readonly GuestVolume[], report: DoctorReport): GuestMends {
  const places = new VolumePlaces(disk, volumes)
  const mended = new Map<DoctorFinding, { readonly part: MendPart; readonly becomes: string }>()
  const refusals = new Map(report.refusals)
  let files: ReadonlyMap<string, MendedFile> = new Map()
  for (const finding of report.sorted) {
    const edits = report.edits.get(finding)
    if (edits === undefined) continue
    try {
      const edited = editedFiles(files, edits, volumes)
      files = new Map([...files, ...[...edited].map(([key, file]) => [key, mendedFile(file, places)] as const)])
      const becomes = edits.find((edit) => edit.becomes !== undefined)?.becomes ?? finding.wanted
      mended.set(finding, { part: mendPartOf(edits), becomes })
    } catch (error) {
      if (!isImageError(error)) throw error
      refusals.set(finding, error.message)
    }
  }
  return { files: [...files.values()], mended, refusals }
}

/** What is to be written on the disk to mend some parts of it; a file belongs to one. */
export function planGuestMend(disk: OpenedImage, mends: GuestMends, parts: readonly MendPart[]): GuestMendPlan {
  const files = mends.files.filter(({ edits }) => parts.includes(mendPartOf(edits)))
  const mended = [...mends.mended].flatMap(([finding, { part, becomes }]) =>
    parts.includes(part) ? [[finding, becomes] as const] : [],
  )
  return { files, ...diskWrites(disk, files), mended: new Map(mended) }
}

/** Two names of one file are one file. */
function keyOf({ open, node }: { readonly open: GuestVolume; readonly node: FileNode }): string {
  return `${placeText(open)} ${node.id}`
}

/** The files that edits are about, with those that are known already. @throws ImageError refused E_NOT_MENDED. */
function editedFiles(
  files: ReadonlyMap<string, EditedFile>,
  edits: readonly FileEdit[],
  volumes: readonly GuestVolume[],
): Map<string, EditedFile> {
  const edited = new Map<string, EditedFile>()
  for (const edit of edits) {
    const { open, path } = edit
    guardVolume(open, volumes)
    const node = open.files.file(path)
    if (node === undefined) throw refused('E_NOT_MENDED', `there is no file ${path} in ${placeText(open)}`)
    const key = keyOf({ open, node })
    const known = edited.get(key) ?? files.get(key)
    edited.set(key, { open, path: known?.path ?? path, node, edits: [...(known?.edits ?? []), edit] })
  }
  return edited
}

/** Issues of a filesystem that say nothing of its structure. */
const harmless = ['W_FS_FREE_COUNT', 'W_FS_INFO']

/** What a volume must be like before anything in it is changed. @throws ImageError refused E_NOT_MENDED. */
function guardVolume(open: GuestVolume, volumes: readonly GuestVolume[]): void {
  const where = placeText(open)
  const asleep = volumes.find(({ volume }) => volume.filesystems.some(({ state }) => state === 'hibernated'))
  if (asleep !== undefined) throw refused('E_NOT_MENDED', `a system sleeps in ${placeText(asleep)}`)
  const [filesystem, other] = open.volume.filesystems
  if (filesystem === undefined || other !== undefined)
    throw refused('E_NOT_MENDED', `${where} has the marks of several filesystems`)
  const { title, state, issues } = filesystem
  if (state !== 'clean')
    throw refused(
      'E_NOT_MENDED',
      state === 'dirty'
        ? `the ${title} filesystem in ${where} was not left in order`
        : `whether the ${title} filesystem in ${where} was left in order is not known`,
    )
  const issue = issues.find(({ code }) => !harmless.includes(code))
  if (issue !== undefined) throw refused('E_NOT_MENDED', issue.message)
}

/** With the writes on the disk. @throws ImageError refused E_NOT_MENDED; unsupported E_FILE_FIXED. */
function mendedFile(file: EditedFile, places: VolumePlaces): MendedFile {
  const { open, node } = file
  const content = newContent(file)
  const rewrites = content.groups.flatMap((patches) => {
    const [only] = patches
    const appended = file.edits.length === 1 && file.edits[0]?.allocates === true
    return appended && only !== undefined
      ? open.files.append(node, only.bytes)
      : open.files.rewrite(node, patches, content.size)
  })
  const writes = rewrites.map((group) =>
    group.flatMap(({ position, bytes }) => {
      let done = 0
      return places.runs(open, position, bytes.length).map(({ offset, length }) => {
        const piece = { position: offset, bytes: bytes.subarray(done, done + length) }
        done += length
        return piece
      })
    }),
  )
  return { ...file, content, writes }
}

/** All writes in whole sectors: what lies in one sector is there at once or not at all. */
function diskWrites(disk: OpenedImage, files: readonly MendedFile[]): Pick<GuestMendPlan, 'groups' | 'ranges'> {
  const { sectorSize, capacity } = disk
  const sectors = new Map<number, Uint8Array>()
  const sectorAt = (start: number): Uint8Array => {
    const known = sectors.get(start)
    if (known !== undefined) return known
    const bytes = new Uint8Array(Math.min(sectorSize, capacity - start))
    disk.read(start, bytes)
    return bytes
  }
  const ranges: MendedRange[] = []
  const groups: TableWrite[][] = []
  for (const file of files) {
    const label = `${file.path} in ${placeText(file.open)}`
    for (const group of file.writes) {
      const changed = new Map<number, Uint8Array>()
      for (const { position, bytes } of group) {
        const old = new Uint8Array(bytes.length)
        const end = position + bytes.length
        for (let start = roundDown(position, sectorSize); start < roundUp(end, sectorSize); start += sectorSize) {
          const sector = changed.get(start) ?? Uint8Array.from(sectorAt(start))
          const from = Math.max(position, start)
          const to = Math.min(end, start + sectorSize)
          old.set(sector.subarray(from - start, to - start), from - position)
          sector.set(bytes.subarray(from - position, to - position), from - start)
          changed.set(start, sector)
        }
        ranges.push({ file: label, position, old, bytes })
      }
      for (const [start, sector] of changed) sectors.set(start, sector)
      groups.push(joined(changed))
    }
  }
  return { groups, ranges }
}

/** Sectors that follow each other are one write. */
function joined(sectors: ReadonlyMap<number, Uint8Array>): TableWrite[] {
  const runs: { readonly position: number; end: number; readonly pieces: Uint8Array[] }[] = []
  for (const [position, bytes] of [...sectors].sort(([one], [other]) => one - other)) {
    const last = runs.at(-1)
    const end = position + bytes.length
    if (last?.end === position) {
      last.pieces.push(bytes)
      last.end = end
    } else runs.push({ position, end, pieces: [bytes] })
  }
  return runs.map(({ position, pieces }) => ({ position, bytes: Buffer.concat(pieces) }))
}
