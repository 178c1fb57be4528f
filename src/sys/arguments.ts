import { printable, usage } from '../errors.js'
import fs, { hostName } from './host-fs.js'

/** What Node puts where bytes are not UTF-8. */
const replaced = '\ufffd'

/**
 * The arguments of this process's command line, byte for byte, in the form of src/sys/host-fs.ts. Node decodes them as
 * UTF-8 and loses what is not; the system still has the bytes.
 * @param given those that Node gives, without the program and the script.
 * @throws ImageError usage E_NAME when bytes were lost and cannot be had: another file could be meant.
 */
export function exactArguments(given: readonly string[], recorded = recordedArguments): readonly string[] {
  if (!given.some((argument) => argument.includes(replaced))) return given
  const exact = recorded()?.slice(-given.length) ?? []
  if (exact.length === given.length && exact.every((bytes, index) => isDecoded(given[index] ?? '', bytes)))
    return exact.map((bytes) => hostName(bytes))
  const [lost = ''] = given.filter((argument) => argument.includes(replaced))
  throw usage('E_NAME', `the argument ${printable(lost)} is not UTF-8, or holds U+FFFD, and its bytes are not known`, {
    hint: 'Rename the file, or name it through a link that has another name.',
  })
}

function isDecoded(text: string, bytes: Buffer): boolean {
  // How many marks a damaged character gives is the decoder's choice.
  const plain = (decoded: string): string => decoded.replace(/\ufffd+/g, replaced)
  return plain(text) === plain(bytes.toString('utf8'))
}

/** Linux keeps the command line of a process as it was given. Undefined where nothing does. */
function recordedArguments(): Buffer[] | undefined {
  return recordedStrings('/proc/self/cmdline')
}

function recordedStrings(path: string): Buffer[] | undefined {
  let bytes: Buffer
  try {
    bytes = fs.readFileSync(path)
  } catch {
    // Another system, or no /proc.
    return undefined
  }
  const strings: Buffer[] = []
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0, start)
    strings.push(bytes.subarray(start, end < 0 ? bytes.length : end))
    start = end < 0 ? bytes.length : end + 1
  }
  return strings
}

/**
 * A variable of the environment that holds a path, byte for byte. Undefined when it is not set, or empty.
 * @throws ImageError usage E_NAME when bytes were lost and cannot be had.
 */
export function pathVariable(name: string): string | undefined {
  const value = process.env[name]
  if (value === undefined || value === '') return undefined
  if (!value.includes(replaced)) return value
  const start = Buffer.from(`${name}=`)
  const exact = recordedStrings('/proc/self/environ')?.find((each) => each.subarray(0, start.length).equals(start))
  const bytes = exact?.subarray(start.length)
  if (bytes !== undefined && isDecoded(value, bytes)) return hostName(bytes)
  throw usage('E_NAME', `${name} is ${printable(value)}, which is not UTF-8, and its bytes are not known`)
}
