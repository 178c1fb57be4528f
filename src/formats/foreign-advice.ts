/** What to do about formats that are known and not read: by the beginning of what they are called. */
const advice: readonly (readonly [start: string, advice: string])[] = [
  ['a 7z archive', 'Unpack it first: 7z x FILE'],
  ['a piece of a split zip archive', 'Join the pieces first: zip -s 0 NAME.zip --out WHOLE.zip'],
  ['a rar archive', 'Unpack it first: 7z x FILE'],
  ['a WIM archive', 'It holds files, not a disk: wimlib-imagex apply FILE 1 FOLDER'],
  ['a CD image of whole sectors', 'Take the data out of its sectors first: bchunk FILE.bin FILE.cue NAME'],
  ['the description of a CD image', 'The data is in the .mdf file beside it.'],
  ['the saved state of a machine', 'It holds the memory of a machine, not a disk: name the disk of that machine.'],
  ['data encrypted by OpenSSL', 'Decrypt it first: openssl enc -d, with the cipher that it was made with.'],
  ['an encrypted archive (Apple)', 'Decrypt it first: aea decrypt'],
  ['a Ghost image', 'Its layout is not published: restore it to a virtual disk with Ghost (ghost32.exe).'],
  [
    'an Acronis backup',
    'Its layout is not published: restore it to a virtual disk with Acronis True Image or Cyber Protect.',
  ],
  [
    'a Veeam backup',
    'Its layout is not published: restore a disk as VMDK, VHD or VHDX with Veeam, or its Extract utility.',
  ],
  ['a Macrium Reflect backup of files', 'It holds files, not a disk: Macrium Reflect restores them.'],
  ['an AOMEI backup', 'Its layout is not published: restore it to a virtual disk with AOMEI Backupper.'],
  ['an EaseUS backup', 'Its layout is not published: restore it to a virtual disk with EaseUS Todo Backup.'],
  ['a Paragon backup', 'Its layout is not published: restore it to a virtual disk with Paragon, or export it as VHD.'],
  ['a Drive Snapshot image', 'Drive Snapshot mounts it as a drive; restore it to a virtual disk with that.'],
  [
    'a StorageCraft backup',
    'Its layout is not published: restore it to a virtual disk, or convert it to VHD, with ShadowProtect.',
  ],
  ['an R-Drive image', 'Its layout is not published: restore it to a virtual disk with R-Drive Image.'],
  ['a partimage image', 'Restore it to an empty file with partimage, and read that.'],
  ['an fsarchiver archive', 'It holds files, not a disk: fsarchiver restfs FILE id=0,dest=/dev/…'],
  ['an AD1 evidence file', 'It holds files, not a disk: FTK Imager exports them.'],
  ['a logical evidence file', 'It holds files, not a disk: EnCase or ewfexport -f files extracts them.'],
  ['an L01 evidence file', 'It holds files, not a disk: EnCase or ewfexport -f files extracts them.'],
]

/** What to do about a format that is not read. @param format as signatures.ts calls it. */
export function adviceFor(format: string): string {
  return (
    advice.find(([start]) => format.startsWith(start))?.[1] ??
    'Unpack it, or convert it to a raw image, with a program that reads it.'
  )
}

/** Formats that only their names give away: their bytes are not described anywhere. */
const byExtension: Readonly<Record<string, string>> = {
  adi: 'an AOMEI backup',
  afi: 'an AOMEI backup',
  arc: 'an R-Drive image',
  gho: 'a Ghost image (Symantec)',
  ghs: 'a Ghost image (Symantec)',
  mrbak: 'a Macrium Reflect backup of files',
  pbd: 'an EaseUS backup',
  pbf: 'a Paragon backup',
  sna: 'a Drive Snapshot image',
  spf: 'a StorageCraft backup',
  spi: 'a StorageCraft backup',
  tib: 'an Acronis backup',
  tibx: 'an Acronis backup',
  vbk: 'a Veeam backup',
  vib: 'a Veeam backup',
  vrb: 'a Veeam backup',
}

/** What a file is by its name, where nothing in it says so; undefined where the name promises nothing. */
export function namedBackup(extension: string): string | undefined {
  return Object.hasOwn(byExtension, extension) ? byExtension[extension] : undefined
}
