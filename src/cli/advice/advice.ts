/** Of an error code: why vdisk stops there, and what can be done where the error itself does not say better. */
export type Advice = readonly [why: string, remedy: string]

/** Remedies of many codes. */
export const remedies = {
  help: 'The --help of the command shows how this value is written.',
  damaged: 'vdisk check lists all damage. Use a backup or another copy of the image if there is one.',
  damagedFile: 'Copy or download the file again, or use another copy. vdisk check lists all damage.',
  incomplete: 'Copy or download the file again, and compare its size with that of the original.',
  parentFile: 'vdisk chain show lists what the image needs; --search and --parent-map say where that is now.',
  convert: 'Open it with the program that made it, and convert or export it to another format there.',
} as const
