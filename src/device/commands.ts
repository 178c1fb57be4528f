import { spawnSync } from 'node:child_process'
import { unsupported } from '../errors.js'

/** Runs a tool of the system and gives what it printed; tests hand in recorded text. */
export type RunTool = (tool: string, args: readonly string[]) => string

/** More than any machine's disks take. */
const longestOutput = 64 * 1048576

/** @throws ImageError unsupported E_TOOL when the tool is missing or fails. */
export const runTool: RunTool = (tool, args) => {
  const { error, status, stdout, stderr } = spawnSync(tool, args, {
    encoding: 'utf8',
    maxBuffer: longestOutput,
    timeout: 120_000,
    windowsHide: true,
  })
  if (error === undefined && status === 0) return stdout
  throw unsupported(
    'E_TOOL',
    `the disks cannot be listed: ${tool} ` +
      (error === undefined
        ? `ended with ${status ?? 'a signal'}: ` + stderr.trim().slice(0, 300)
        : `cannot be run: ${error.message}`),
    error === undefined ? {} : { cause: error },
  )
}
