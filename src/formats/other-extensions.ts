/** What a file of that extension is, and what to write instead for the program that wants it. */
const others: Readonly<Record<string, readonly [format: string, instead: string]>> = {
  ova: ['an OVA appliance', 'vdisk convert makes one.'],
  ovf: ['an OVF appliance', 'Write an .ova: it holds the description, and tar -xf gives the files.'],
  dmg: ['DMG', 'macOS attaches raw images: name the target .img or .raw.'],
  iso: ['ISO 9660', 'A disk is no CD image; name the target .img or .raw.'],
  hdd: ['a Parallels disk', 'Parallels imports .vhd.'],
  bz2: ['a bzip2 file', 'Write to standard output: vdisk convert IMAGE - --to raw | bzip2 > FILE'],
  lz4: ['an LZ4 file', 'Write to standard output: vdisk convert IMAGE - --to raw | lz4 > FILE'],
  zip: ['a zip archive', 'Write a .raw or .vhd image and pack it with zip.'],
  '7z': ['a 7z archive', 'Write a .raw or .vhd image and pack it with 7z.'],
  e01: ['an EWF image', 'vdisk writes no forensic formats.'],
}

/**
 * What a target named like this would be, which vdisk cannot write, and what helps; undefined when nothing is known.
 */
export function otherTarget(name: string): { readonly format: string; readonly hint: string } | undefined {
  const extension = /\.([^./\\]+)$/.exec(name)?.[1]?.toLowerCase() ?? ''
  const [format, hint] = others[extension] ?? []
  return format === undefined || hint === undefined ? undefined : { format, hint }
}
