import { corrupt, printable, reference, unsupported } from '../../errors.js'

/** The files that hold one partition, in the order of their content. */
export interface PieceSet {
  /** The device: `sda1`, `nvme0n1p2`, `vg-root`. */
  readonly device: string
  readonly tool: 'partclone' | 'ntfsclone' | 'dd' | 'partimage'
  /** As the name says: `ext4`, `ntfs`; empty for the tools that do not say it. */
  readonly filesystem: string
  /** As the name says: `gz`, `zst`, `uncomp`; undefined where it does not. */
  readonly compression: string | undefined
  /** The common part of the names. */
  readonly stem: string
  readonly names: readonly string[]
}

const compressions = 'gz|bz2|lzo|lzma|xz|lzip|lrz|lz4|lz4mt|zst|zstd|uncomp'
/** What follows the device: `ext4-ptcl-img.gz.aa`, `ntfs-img.aa`, `dd-img`; `aa` alone, or `000`, is partimage's. */
const imagePattern = new RegExp(
  `^(?<stem>(?<filesystem>[a-z0-9+_-]+?)(?<partclone>-ptcl)?-img(?:\\.(?<compression>${compressions}))?)` +
    '(?:\\.(?<piece>[a-z]{2,}))?$',
)
const partimagePattern = /^(?:aa+|0{3,})$/

/**
 * The files of a device's content; undefined where none of the names is one.
 * @throws ImageError reference E_PART_MISSING for a gap among the pieces; unsupported E_AMBIGUOUS_FORMAT for several
 * images of one device.
 */
export function piecesOf(device: string, names: readonly string[]): PieceSet | undefined {
  const sets = new Map<string, { readonly set: Omit<PieceSet, 'names'>; readonly pieces: Map<string, string> }>()
  for (const name of names) {
    if (!name.startsWith(`${device}.`)) continue
    const rest = name.slice(device.length + 1)
    if (partimagePattern.test(rest))
      return { device, tool: 'partimage', filesystem: '', compression: undefined, stem: device, names: [name] }
    const { stem, filesystem, partclone, compression, piece } = imagePattern.exec(rest)?.groups ?? {}
    if (stem === undefined || filesystem === undefined || piece === 'info') continue
    const tool =
      partclone !== undefined
        ? 'partclone'
        : filesystem === 'dd'
          ? 'dd'
          : filesystem === 'ntfs'
            ? 'ntfsclone'
            : 'partclone'
    const known = sets.get(stem) ?? {
      set: { device, tool, filesystem, compression, stem: `${device}.${stem}` },
      pieces: new Map<string, string>(),
    }
    known.pieces.set(piece ?? '', name)
    sets.set(stem, known)
  }
  const [first, ...others] = sets.values()
  if (first === undefined) return undefined
  if (others.length > 0)
    throw unsupported(
      'E_AMBIGUOUS_FORMAT',
      `${printable(device)} has several images: ${[first, ...others].map(({ set }) => printable(set.stem)).join(', ')}`,
      { hint: 'Move all but one of them to another folder.' },
    )
  return { ...first.set, names: inOrder(first.set.stem, first.pieces) }
}

/** `aa`, `ab` … `zz`, without a gap; or the one file that was not split. */
function inOrder(stem: string, pieces: ReadonlyMap<string, string>): readonly string[] {
  const whole = pieces.get('')
  if (whole !== undefined) {
    if (pieces.size > 1)
      throw corrupt('E_BACKUP', `${printable(stem)} is there as a whole and in pieces: one of the two is left over`)
    return [whole]
  }
  const length = Math.min(...[...pieces.keys()].map((piece) => piece.length))
  const names: string[] = []
  const rest = new Map(pieces)
  for (let piece = 'a'.repeat(length); rest.size > 0; piece = nextPiece(piece)) {
    const name = rest.get(piece)
    if (name === undefined) {
      const later = printable([...rest.values()].sort()[0] ?? '')
      throw reference('E_PART_MISSING', `${printable(stem)}.${piece} is missing, but ${later} is there`, {
        hint: 'Copy the missing piece beside the others.',
      })
    }
    names.push(name)
    rest.delete(piece)
  }
  return names
}

/** As split counts. */
function nextPiece(piece: string): string {
  for (let at = piece.length - 1; at >= 0; at--) {
    const letter = piece.charCodeAt(at)
    if (letter < 122) return piece.slice(0, at) + String.fromCharCode(letter + 1) + 'a'.repeat(piece.length - at - 1)
  }
  return 'a'.repeat(piece.length + 1)
}
