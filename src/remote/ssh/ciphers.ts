import { execFile } from 'node:child_process'
import { hasAes } from '../../sys/processor.js'

/** Takes about half the time of the first of the usual ones, where the processor has instructions for AES. */
const quickest = 'aes128-gcm@openssh.com'

/** Ciphers in ssh's own order, from 7.6 on and from 10.0 on: who wants others names them in a configuration. */
const usualOrders: ReadonlySet<string> = new Set([
  `chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,${quickest},aes256-gcm@openssh.com`,
  `chacha20-poly1305@openssh.com,${quickest},aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr`,
])

/** How long ssh may take to say what it is configured to do, in milliseconds. */
const patience = 5000
const longestAnswer = 262144

/**
 * The ciphers that a connection is to be asked for, the quickest before ssh's own; undefined where a configuration
 * names some, which count then, and where ssh or the processor does not know the quickest.
 * @param words what ssh is given besides, up to the host.
 */
export async function quickCiphers(program: string, words: readonly string[]): Promise<string | undefined> {
  if (!hasAes()) return undefined
  const configuration = await said(program, ['-G', ...words])
  return quickestFirst(/^ciphers (\S+)$/m.exec(configuration)?.[1] ?? '')
}

/** @param order as a configuration has it. */
export function quickestFirst(order: string): string | undefined {
  if (!usualOrders.has(order)) return undefined
  const others = order.split(',').filter((name) => name !== quickest)
  return [quickest, ...others].join(',')
}

/** What a program says; nothing where it fails. */
function said(program: string, words: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const options = { timeout: patience, maxBuffer: longestAnswer }
    const child = execFile(program, words, options, (error, stdout) => resolve(error === null ? stdout : ''))
    child.stdin?.on('error', () => undefined)
    child.stdin?.end()
  })
}
