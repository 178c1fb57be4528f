import type { ImageError } from '../errors.js'
import { pathVariable } from '../sys/arguments.js'
import fs from '../sys/host-fs.js'
import { plainErrorText } from './error-text.js'

/** What Kubernetes keeps of such a message, in bytes. */
const longestMessage = 4096

/**
 * Why a command ended without success, for the program that started it: in the file that `VDISK_TERMINATION_LOG` names
 * (`/dev/termination-log` of a container). @returns a warning, where the file cannot be written.
 */
export async function leaveMessage(reason: ImageError): Promise<string | undefined> {
  const path = pathVariable('VDISK_TERMINATION_LOG')
  if (path === undefined) return undefined
  const bytes = Buffer.from(await plainErrorText(reason)).subarray(0, longestMessage)
  try {
    // A character that was cut is left out.
    fs.writeFileSync(path, new TextDecoder().decode(bytes, { stream: true }))
    return undefined
  } catch (error) {
    return `VDISK_TERMINATION_LOG cannot be written: ${error instanceof Error ? error.message : String(error)}`
  }
}
