import { usage } from '../errors.js'

/** Formats as qemu-img names them: a word of these behind `-f` is a format, not a file. */
const formatNames: ReadonlySet<string> = new Set(
  'raw file host_device qcow qcow2 qed vpc vhd vhdx vmdk vdi dmg parallels bochs cloop luks'.split(' '),
)

/** Flags of qemu-img that mean nothing here, and what does the same. */
const explained: Readonly<Record<string, string>> = {
  '-B': 'Give the parent of the new image with --parent.',
  '-F': 'Give the format of the parent with --parent-format.',
  '-S': 'Runs of zeros are never stored; --no-sparse stores them.',
  '-T': 'vdisk chooses the cache mode itself.',
  '-W': 'vdisk writes in parallel by itself; --threads says with how many threads.',
  '-m': 'vdisk reads and writes in parallel by itself; --threads says with how many threads.',
}

/**
 * Command lines of people who know qemu-img, in vdisk's flags: `-f FORMAT` is `--from`, `-O FORMAT` is `--to`, `-c` is
 * `--compress zlib`, `-p` is `--progress bar`, `-q` is `--quiet`. `-f` alone stays `--force`.
 * @param argv what follows the command's name. @param flags names of the command's flags.
 * @throws ImageError usage E_USAGE with the flag to use instead, for others of qemu-img's flags.
 */
export function peerFlags(argv: readonly string[], flags: ReadonlySet<string>): string[] {
  if (!flags.has('from')) return [...argv]
  const result: string[] = []
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? ''
    const next = argv[index + 1]
    if (word === '--') return [...result, ...argv.slice(index)]
    const format = next !== undefined && formatNames.has(next)
    if (word === '-f' && format) result.push('--from', argv[++index] ?? '')
    else if (word === '-O' && flags.has('to') && next !== undefined) result.push('--to', argv[++index] ?? '')
    else if (word === '-p' && flags.has('progress')) result.push('--progress', 'bar')
    else if (word === '-q') result.push('--quiet')
    else if (word === '-c' && flags.has('compress')) result.push('--compress', 'zlib')
    else {
      const advice = explained[word]
      if (advice !== undefined) throw usage('E_USAGE', `vdisk has no flag ${word}`, { hint: advice })
      result.push(word)
    }
  }
  return result
}
