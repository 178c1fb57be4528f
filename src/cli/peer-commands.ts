import { usage } from '../errors.js'

/** `qemu-img snapshot -l IMAGE` and its like, as the commands that they are here. */
const letters: Readonly<Record<string, string>> = { '-l': 'list', '-c': 'create', '-d': 'delete' }

/**
 * A command line of `snapshot` as qemu-img takes it, in vdisk's words; undefined where it is none.
 * @throws ImageError usage E_USAGE for `-a`: an image is never set back in place.
 */
export function peerSnapshot(argv: readonly string[]): string[] | undefined {
  const [topic, letter = '', ...rest] = argv
  if (topic !== 'snapshot') return undefined
  if (letter === '-a')
    throw usage('E_USAGE', 'vdisk sets no image back to a snapshot in place', {
      hint: '"vdisk snapshot extract IMAGE SNAPSHOT TARGET" writes its disk as an image of its own.',
    })
  const command = Object.hasOwn(letters, letter) ? letters[letter] : undefined
  if (command === undefined) return undefined
  // There the name comes first, and here the image.
  const [name = '', image, ...more] = rest
  return command === 'list' || image === undefined ? [topic, command, ...rest] : [topic, command, image, name, ...more]
}
