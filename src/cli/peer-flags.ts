import { printable, usage } from '../errors.js'

/** Formats as qemu-img names them: a word of these behind `-f` is a format, not a file. */
const formatNames: ReadonlySet<string> = new Set(
  'raw file host_device qcow qcow2 qed vpc vhd vhdx vmdk vdi dmg parallels bochs cloop luks'.split(' '),
)

const size = 'The size stands alone behind the name: 10G.'
const source = 'Names of files stand alone here: the source comes first, then the target.'
const wantedFormat = 'Name the format of the target with --to.'
const readFormat = 'Name the format of the source with --from.'
const file = 'Name the file itself, and its format with --from.'

/**
 * Flags of qemu-img, VBoxManage, libguestfs, virt-v2v and PowerShell that mean nothing here: flags that the commands
 * have (with `!`: have not) which they are explained for, and what does the same. The first that fits is said.
 */
export const explained: readonly (readonly [word: string, commands: string, advice: string])[] = [
  ['-B', 'parent', 'Give the parent of the new image with --parent.'],
  ['-DestinationPath', 'to', source],
  ['-F', 'parent-format', 'Give the format of the parent with --parent-format.'],
  ['-Path', 'from', source],
  ['-SizeBytes', 'to', size],
  ['-T', 'from', 'vdisk chooses the cache mode itself.'],
  ['-U', 'allow-in-use', 'vdisk reads images that others have open, and warns; --allow-in-use leaves out the warning.'],
  ['-VHDType', 'subformat', 'Say it with --subformat: fixed or dynamic. A child is made with --parent.'],
  ['-W', 'threads', 'vdisk writes in parallel by itself; --threads says with how many threads.'],
  ['-a', 'from', 'The image stands alone here; a file inside it is IMAGE@PARTITION:/PATH.'],
  ['-i', 'to', 'The source stands alone here: it comes first, then the target.'],
  ['-l', 'range', 'Give the part with --range OFFSET:LENGTH.'],
  ['-l', 'snapshot', 'Name the snapshot to read with --snapshot.'],
  ['-m', 'threads', 'vdisk reads and writes in parallel by itself; --threads says with how many threads.'],
  ['-n', 'to', 'The target is always made new; a disk or partition that is there is written by vdisk restore.'],
  ['-of', 'to', wantedFormat],
  ['-os', 'to', 'The target stands alone here, with its folder.'],
  ['-r', 'deep', 'vdisk check never changes an image: vdisk repair mends it.'],
  ['-r', 'rate', 'Limit the speed with --rate.'],
  ['-s', 'range', 'Give the part with --range OFFSET:LENGTH.'],
  ['-s', 'to snapshot', 'Name the snapshot to read with --snapshot.'],
  ['-s', 'parent !from', size],
  ['-t', 'flush', 'vdisk chooses the cache mode itself; --no-flush does not wait for the medium.'],
  ['--backing-chain', 'parent-map', 'vdisk info names the parents, and vdisk chain show shows each of them.'],
  ['--dstformat', 'to', wantedFormat],
  ['--filename', 'parent !from', 'The name stands alone here, and the size behind it.'],
  ['--format', 'to', wantedFormat],
  ['--format', 'from', readFormat],
  ['--image-opts', 'from', file],
  ['--input-format', 'from', readFormat],
  ['--output-format', 'to', wantedFormat],
  ['--size', 'parent !from', size],
  ['--sizebyte', 'parent !from', size],
  ['--source-format', 'from', readFormat],
  ['--srcformat', 'from', readFormat],
  ['--target-format', 'to', wantedFormat],
  ['--target-image-opts', 'to', 'Name the target itself, and its format with --to.'],
  ['--variant', 'subformat', 'Say it with --subformat: fixed or dynamic.'],
]

/** What a flag of other programs is here; undefined where it is none, or means nothing of the command's. */
function explanation(word: string, flags: ReadonlySet<string>): string | undefined {
  const [name = ''] = word.split('=')
  // A flag of the command's own is never another program's.
  if (flags.has(name.replace(/^--?/, ''))) return undefined
  const fits = (needed: string): boolean => (needed.startsWith('!') ? !flags.has(needed.slice(1)) : flags.has(needed))
  return explained.find(([one, commands]) => one === name && commands.split(' ').every(fits))?.[2]
}

const ends = 'Leave out if= and of=: the source comes first, then the target.'
const blocks = 'Leave it out: vdisk chooses the size of its blocks, leaves holes and shows progress by itself.'
const part = 'Leave it out: the whole disk is read. "vdisk partition extract" takes one partition out of it.'

/** What `dd` takes. */
const operands: Readonly<Record<string, string>> = {
  if: ends,
  of: ends,
  bs: blocks,
  conv: blocks,
  ibs: blocks,
  iflag: blocks,
  obs: blocks,
  oflag: blocks,
  status: blocks,
  count: part,
  seek: part,
  skip: part,
}

/** Names of options in qemu-img, where they are others here. */
const optionNames: Readonly<Record<string, string>> = {
  'adapter-type': 'adapter',
  'compression-type': 'compress',
  hwversion: 'hardware-version',
}

/** Options of qemu-img that are flags here. */
const optionFlags: Readonly<Record<string, string>> = {
  'backing-file': 'parent',
  'backing-fmt': 'parent-format',
}

/** What one flag of qemu-img is here. */
interface Translation {
  readonly words: readonly string[]
  /** Whether the word behind it was its value. */
  readonly tookValue: boolean
}

/**
 * Command lines of people who know qemu-img, in vdisk's flags: `-f FORMAT` is `--from` (of `create`: `--to`), `-O
 * FORMAT` is `--to`, `-c` is `--compress zlib`, `-p` is `--progress bar`, `-q` is `--quiet`, `-b FILE` is `--parent`,
 * `-S SIZE` is `--sparse`, `--output=json` is `--json`; `-o a=1,b=2` is `-o a=1 -o b=2`. `-f` alone stays `--force`.
 * @param argv what follows the command's name. @param flags names and letters of the command's flags.
 * @throws ImageError usage E_USAGE with the flag to use instead, for others of qemu-img's flags.
 */
export function peerFlags(argv: readonly string[], flags: ReadonlySet<string>): string[] {
  if (!flags.has('from') && !flags.has('to')) return [...argv]
  const result: string[] = []
  argv = argv.flatMap(unglued)
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? ''
    if (word === '--') return [...result, ...argv.slice(index)]
    const known = Object.hasOwn(translations, word) ? translations[word]?.(argv[index + 1], flags) : undefined
    if (known !== undefined) {
      result.push(...known.words)
      if (known.tookValue) index++
      continue
    }
    const advice = explanation(word, flags)
    if (advice !== undefined) throw usage('E_USAGE', `vdisk has no flag ${printable(word)}`, { hint: advice })
    const [, operand] = /^([a-z]+)=/.exec(word) ?? []
    if (operand !== undefined && Object.hasOwn(operands, operand) && flags.has('to'))
      throw usage('E_USAGE', `vdisk has no operands like ${printable(word)}`, { hint: operands[operand] })
    result.push(word)
  }
  return result
}

type Translate = (next: string | undefined, flags: ReadonlySet<string>) => Translation | undefined

const alone = (...words: readonly string[]): Translation => ({ words, tookValue: false })
const valued = (flag: string, value: string | undefined): Translation | undefined =>
  value === undefined ? undefined : { words: [flag, value], tookValue: true }
const isFormat = (word: string | undefined): word is string => word !== undefined && formatNames.has(word.toLowerCase())
const inLowerCase = (word: string | undefined): string | undefined => (isFormat(word) ? word.toLowerCase() : word)

/** `-fraw`, `-Oqcow2`: a letter and its format in one word. */
function unglued(word: string): string[] {
  const [, letter, format] = /^(-[fO])(.+)$/.exec(word) ?? []
  return letter === undefined || !isFormat(format) ? [word] : [letter, format]
}

const translations: Readonly<Record<string, Translate>> = {
  '-f': (next, flags) =>
    isFormat(next) ? valued(flags.has('from') ? '--from' : '--to', inLowerCase(next)) : undefined,
  '-O': (next, flags) => (flags.has('to') ? valued('--to', inLowerCase(next)) : undefined),
  '-b': (next, flags) => (flags.has('parent') ? valued('--parent', next) : undefined),
  '-F': (next, flags) => {
    if (flags.has('second-from')) return valued('--second-from', inLowerCase(next))
    return flags.has('parent-format') && isFormat(next) ? valued('--parent-format', inLowerCase(next)) : undefined
  },
  '-o': (next, flags) => (next === undefined ? undefined : { words: optionWords(next, flags), tookValue: true }),
  '-S': (next, flags) => (flags.has('sparse') ? valued('--sparse', next) : undefined),
  '-p': (_next, flags) => (flags.has('progress') ? alone('--progress', 'bar') : undefined),
  '-q': () => alone('--quiet'),
  '-c': (_next, flags) => (flags.has('compress') ? alone('--compress', 'zlib') : undefined),
  '--output': (next, flags) => outputForm(next, flags, true),
  '--output=json': (_next, flags) => outputForm('json', flags, false),
  '--output=human': (_next, flags) => outputForm('human', flags, false),
}

/** `--output json|human`: of `map` it names what qemu-img prints, whose own form is another. */
function outputForm(
  value: string | undefined,
  flags: ReadonlySet<string>,
  tookValue: boolean,
): Translation | undefined {
  if (value === 'human') return { words: [], tookValue }
  if (value !== 'json') return undefined
  return { words: flags.has('range') ? ['--output', 'qemu'] : ['--json'], tookValue }
}

/** `-o compression_type=zstd,cluster_size=64k`: one option each, in the spelling that is used here. */
function optionWords(text: string, flags: ReadonlySet<string>): string[] {
  const options = text.split(',')
  const each =
    options.length > 1 && options.every((option) => /^[a-z][a-z0-9_-]*=[^=]*$/.test(option)) ? options : [text]
  return each.flatMap((option) => {
    const [, name = '', value = ''] = /^([a-z][a-z0-9_-]*)(=[^]*)$/.exec(option) ?? []
    const here = name.replaceAll('_', '-')
    const flag = Object.hasOwn(optionFlags, here) ? optionFlags[here] : undefined
    if (flag !== undefined && flags.has('parent')) return [`--${flag}`, value.slice(1)]
    if (here === 'size') throw usage('E_USAGE', 'the size of a disk is no option', { hint: size })
    return ['-o', name === '' ? option : `${optionNames[here] ?? here}${value}`]
  })
}
