/**
 * Files of other kinds that people hand to vdisk by mistake: documents, programs, packages, pictures, a page that a
 * server sent instead of the file. A file of such a kind is read as a raw disk only where its name or --from says so.
 */
export interface OtherFile {
  /** With its article: `a PDF document`. */
  readonly name: string
  /** What to do to get at a disk, where there is something. */
  readonly advice?: string
}

interface Kind extends OtherFile {
  /** Bytes, one a character, and where they stand. */
  readonly marks: readonly (readonly [place: number, text: string])[]
}

const kind = (name: string, ...marks: Kind['marks']): Kind => ({ name, marks })

const cpio: OtherFile = { name: 'a cpio archive' }

/** Every mark is of four bytes or more, but for JPEG and MP3, which have further bytes that must fit. */
const kinds: readonly Kind[] = [
  kind('a PDF document', [0, '%PDF-']),
  kind('a PNG picture', [0, '\x89PNG\r\n\x1a\n']),
  kind('a JPEG picture', [0, '\xff\xd8\xff\xe0'], [0, '\xff\xd8\xff\xe1'], [0, '\xff\xd8\xff\xdb']),
  kind('a GIF picture', [0, 'GIF87a'], [0, 'GIF89a']),
  kind(
    'a video or sound file',
    [4, 'ftyp'],
    [0, '\x1a\x45\xdf\xa3'],
    [0, 'OggS\0'],
    [0, 'fLaC\0'],
    [0, 'ID3\x02\0'],
    [0, 'ID3\x03\0'],
    [0, 'ID3\x04\0'],
  ),
  kind('an AVI or WAV file', [8, 'AVI LIST'], [8, 'WAVEfmt ']),
  kind('a program (ELF)', [0, '\x7fELF\x01\x01\x01'], [0, '\x7fELF\x02\x01\x01'], [0, '\x7fELF\x02\x02\x01']),
  kind('a program (macOS)', [0, '\xcf\xfa\xed\xfe'], [0, '\xce\xfa\xed\xfe'], [0, '\xca\xfe\xba\xbe\0\0\0\x02']),
  kind('a class of Java', [0, '\xca\xfe\xba\xbe\0\0\0']),
  kind('a program (WebAssembly)', [0, '\0asm\x01\0\0\0']),
  kind('a Debian package, or another ar archive', [0, '!<arch>\n']),
  kind('an RPM package', [0, '\xed\xab\xee\xdb']),
  { ...cpio, marks: ['070701', '070702', '070707'].map((text) => [0, text]) },
  kind('a xar archive, such as a package of macOS', [0, 'xar!\0\x1c\0\x01']),
  kind('a cabinet archive (Windows)', [0, 'MSCF\0\0\0\0']),
  kind('an SQLite database', [0, 'SQLite format 3\0']),
  kind('a Microsoft Office document or an installer (MSI)', [0, '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1']),
  {
    ...kind('a torrent', [0, 'd8:announce']),
    advice: 'It only names the file: a BitTorrent program downloads it.',
  },
  { ...kind('encrypted (age)', [0, 'age-encryption.org/v1']), advice: 'Decrypt it first: age -d' },
  { ...kind('encrypted (PGP)', [0, '-----BEGIN PGP MESSAGE']), advice: 'Decrypt it first: gpg -d' },
  {
    ...kind('a pointer of Git LFS', [0, 'version https://git-lfs.github.com/spec/']),
    advice: 'It stands for the file, which "git lfs pull" fetches.',
  },
  {
    ...kind(
      'a VirtualBox machine',
      [0, '<?xml version="1.0"?>\n<VirtualBox '],
      [0, '<?xml version="1.0"?><VirtualBox '],
    ),
    advice: 'Name the disk that it lists, a .vdi, .vmdk or .vhd file.',
  },
]

const page: OtherFile = {
  name: 'a page of HTML or XML',
  advice: 'A server may have sent it instead of the file: look at it, and download the file again.',
}
const program: OtherFile = { name: 'a program (Windows, DOS or EFI)' }
const machine: OtherFile = { name: 'a VMware machine (.vmx)', advice: 'Name the disk that it lists, a .vmdk file.' }

/** What else a file is, by its first bytes; undefined where they are of nothing known. Pure and total. */
export function otherFile(head: Uint8Array): OtherFile | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
  const start = bytes.toString('latin1', 0, 1024)
  const found = kinds.find(({ marks }) => marks.some(([place, text]) => start.startsWith(text, place)))
  if (found !== undefined) return found
  if (/^(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|\?xml)[\s>]/i.test(start)) return page
  if (/^(?:\.encoding|config\.version|#!\/usr\/bin\/vmware)\b/.test(start)) return machine
  if (isProgram(bytes)) return program
  return isBinaryCpio(bytes) ? cpio : undefined
}

/** `MZ` alone may begin boot code: the header of the program that it points to decides. */
function isProgram(bytes: Buffer): boolean {
  if (bytes.length < 64 || bytes.toString('latin1', 0, 2) !== 'MZ') return false
  const header = bytes.readUInt32LE(60)
  return header <= bytes.length - 4 && bytes.toString('latin1', header, header + 4) === 'PE\0\0'
}

/**
 * What `cpio -o` writes where no format is asked for. Its mark has two bytes only, so what is behind it decides: the
 * kind of the first file, and its name, which ends with the one NUL in it.
 */
function isBinaryCpio(bytes: Buffer): boolean {
  if (bytes.length < 28) return false
  const isLittle = bytes.readUInt16LE(0) === 0o070707
  if (!isLittle && bytes.readUInt16BE(0) !== 0o070707) return false
  const word = (place: number): number => (isLittle ? bytes.readUInt16LE(place) : bytes.readUInt16BE(place))
  const type = Math.floor(word(6) / 4096)
  const end = 26 + word(20) - 1
  return [1, 2, 4, 6, 8, 10, 12].includes(type) && end > 26 && end < 4096 && bytes.indexOf(0, 26) === end
}
